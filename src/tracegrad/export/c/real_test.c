/* Runs the test vector beside the simulation, which is in double precision. So must be spikes and
   weights of the library in double. In single precision a sum can cross a threshold a step early or
   late; from there on both learn from other spikes, and come apart. */

#include <math.h>
#include <stdio.h>

#include "learner.h"
#include "vector.h"

#ifdef TG_DOUBLE
#define TG_MOST_SPIKES 0.0
#define TG_MOST_WEIGHTS 1e-5
#else
#define TG_MOST_SPIKES 0.05
#define TG_MOST_WEIGHTS 0.1
#endif

static tg_learner learner;

/* Of two arrays: the sum of squares of the difference, over that of the second. */
static double tg_apart(const tg_real *found, const tg_real *wished, unsigned count) {
    double apart = 0.0;
    double whole = 0.0;
    for (unsigned i = 0; i < count; i++) {
        const double d = (double)found[i] - (double)wished[i];
        apart += d * d;
        whole += (double)wished[i] * (double)wished[i];
    }
    return sqrt(apart / whole);
}

int main(void) {
    static const uint8_t spikes[TG_STEPS][TG_NEURONS] = TG_SPIKES;
    static const uint16_t lines[] = TG_LINES;           /* the line of every event, */
    static const uint16_t counts[TG_STEPS] = TG_COUNTS; /* how many there are at every step, */
    static const int8_t labels[TG_STEPS] = TG_LABELS;   /* and the class; -1: none. */
    static const tg_weights after = TG_WEIGHTS_AFTER;
    uint8_t events[TG_INPUTS];
    uint32_t next = 0;
    uint32_t wrong = 0;
    uint32_t equal = TG_STEPS;
    tg_init(&learner);
    for (uint32_t step = 0; step < TG_STEPS; step++) {
        for (unsigned i = 0; i < TG_INPUTS; i++) {
            events[i] = 0;
        }
        for (uint32_t k = 0; k < counts[step]; k++) {
            events[lines[next + k]]++;
        }
        next += counts[step];
        if (labels[step] < 0) {
            tg_step(&learner, events, 0);
        } else {
            tg_step_class(&learner, events, (unsigned)labels[step]);
        }
        for (unsigned j = 0; j < TG_NEURONS; j++) {
            wrong += (learner.spikes[j] > 0) != (spikes[step][j] > 0);
        }
        equal = wrong > 0 && equal == TG_STEPS ? step : equal;
    }
    const double share = (double)wrong / TG_STEPS / TG_NEURONS;
    const double apart = tg_apart((const tg_real *)&learner.weights, (const tg_real *)&after,
                                  (unsigned)(sizeof after / sizeof(tg_real)));
    printf("equal for %lu of %lu steps; spikes that differ %.2e, weights %.2e\n",
           (unsigned long)equal, (unsigned long)TG_STEPS, share, apart);
    return share > TG_MOST_SPIKES || apart > TG_MOST_WEIGHTS;
}
