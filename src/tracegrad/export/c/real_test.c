/* Runs the test vector three times beside the simulation, which is in double precision:

   - compiled for double, every spike must be the simulation's, and the weights in the end;
   - in single precision, every step begins where that in double does, and after it no number may be
     further off than TG_MOST of the largest of its kind;
   - in single precision alone, a sum can cross a threshold a step early or late, and from there on
     both learn from other spikes: the test says for how many steps they were equal. */

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "double.h"
#include "learner.h"
#include "vector.h"

#define TG_NUMBERS (sizeof(tg_learner) / sizeof(tg_real))
#define TG_MOST_WEIGHTS 1e-5 /* in double, after all steps, of the norm of the weights */
#define TG_MOST 0x1p-18      /* in single, after one step, of the largest number of a kind */
#define TG_MOST_PARTED 1e-5  /* neurons that part by a spike, of all at all steps; one may */

static const uint8_t spikes[TG_STEPS][TG_NEURONS] = TG_SPIKES;
static const uint16_t lines[] = TG_LINES;           /* the line of every event, */
static const uint16_t counts[TG_STEPS] = TG_COUNTS; /* how many there are at every step, */
static const int8_t labels[TG_STEPS] = TG_LABELS;   /* and the class; -1: none. */

static tg_learner forced;
static tg_learner alone;

/* Where the numbers of one kind lie. */
typedef struct {
    size_t first;
    size_t count;
} tg_kind;

#define TG_KIND(field) \
    {offsetof(tg_learner, field) / sizeof(tg_real), sizeof(forced.field) / sizeof(tg_real)}

static const tg_kind spike_kind = TG_KIND(spikes);

static void tg_take(uint8_t events[TG_INPUTS], uint32_t first, uint32_t count) {
    memset(events, 0, TG_INPUTS);
    for (uint32_t i = first; i < first + count; i++) {
        events[lines[i]]++;
    }
}

static void tg_next(tg_learner *learner, const uint8_t events[TG_INPUTS], int label) {
    if (label < 0) {
        tg_step(learner, events, 0);
    } else {
        tg_step_class(learner, events, (unsigned)label);
    }
}

static void tg_force(const double *numbers) {
    tg_real *mine = (tg_real *)&forced;
    for (size_t i = 0; i < TG_NUMBERS; i++) {
        mine[i] = (tg_real)numbers[i];
    }
}

/* How many neurons spike in one precision and not in the other. */
static uint32_t tg_parted(const tg_learner *learner, const double *numbers) {
    uint32_t parted = 0;
    for (size_t j = 0; j < TG_NEURONS; j++) {
        parted += (learner->spikes[j] > 0) != (numbers[spike_kind.first + j] > 0);
    }
    return parted;
}

/* How many spikes in double are not the simulation's. */
static uint32_t tg_wrong(const double *numbers, const uint8_t wished[TG_NEURONS]) {
    uint32_t wrong = 0;
    for (size_t j = 0; j < TG_NEURONS; j++) {
        wrong += (numbers[spike_kind.first + j] > 0) != (wished[j] > 0);
    }
    return wrong;
}

/* The largest difference to the numbers in double, over the largest number, of the worst kind. */
static double tg_off(const double *numbers) {
    static const tg_kind kinds[] = {TG_KIND(weights), TG_KIND(rows), TG_KIND(currents),
                                    TG_KIND(outputs), TG_KIND(traces)};
    const tg_real *mine = (const tg_real *)&forced;
    double worst = 0.0;
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        double most = 0.0;
        double apart = 0.0;
        for (size_t i = kinds[kind].first; i < kinds[kind].first + kinds[kind].count; i++) {
            most = fmax(most, fabs(numbers[i]));
            apart = fmax(apart, fabs((double)mine[i] - numbers[i]));
        }
        worst = apart > 0.0 ? fmax(worst, apart / most) : worst;
    }
    return worst;
}

int main(void) {
    const double *numbers = tg_double_numbers();
    uint8_t events[TG_INPUTS];
    uint32_t next = 0;
    uint32_t parted = 0; /* neurons that part by a spike from the same state */
    uint32_t as_wished = TG_STEPS;
    uint32_t equal = TG_STEPS;
    double off = 0.0;
    tg_double_init();
    tg_init(&alone);
    for (uint32_t step = 0; step < TG_STEPS; step++) {
        const int label = labels[step];
        tg_take(events, next, counts[step]);
        next += counts[step];
        tg_force(numbers);
        tg_double_step(events, label);
        tg_next(&forced, events, label);
        tg_next(&alone, events, label);
        const uint32_t here = tg_parted(&forced, numbers);
        off = here == 0 ? fmax(off, tg_off(numbers)) : off;
        parted += here;
        as_wished = tg_wrong(numbers, spikes[step]) && as_wished == TG_STEPS ? step : as_wished;
        equal = tg_parted(&alone, numbers) && equal == TG_STEPS ? step : equal;
    }
    const double apart = tg_double_apart();
    const double most = fmax(1.0, TG_MOST_PARTED * TG_NEURONS * TG_STEPS);
    printf("double: equal for %lu of %lu steps; weights %.2e\n", (unsigned long)as_wished,
           (unsigned long)TG_STEPS, apart);
    printf("single: a step off by %.2e, %lu spikes; alone equal for %lu steps\n", off,
           (unsigned long)parted, (unsigned long)equal);
    return as_wished < TG_STEPS || apart > TG_MOST_WEIGHTS || off > TG_MOST || parted > most;
}
