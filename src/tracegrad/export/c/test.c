/* Runs the test vector: learning, step by step, must leave the digests of the simulation. */

#include <stdio.h>

#include "learner.h"
#include "vector.h"

static tg_learner learner;

int main(void) {
    static const uint32_t digests[TG_STEPS] = TG_DIGESTS;
    static const uint16_t lines[] = TG_LINES;       /* the line of every event, */
    static const uint16_t counts[TG_STEPS] = TG_COUNTS; /* how many there are at every step, */
    static const int8_t labels[TG_STEPS] = TG_LABELS;   /* and the class; -1: none. */
    uint8_t events[TG_INPUTS];
    uint32_t next = 0;
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
        if (tg_digest(&learner) != digests[step]) {
            printf("different at step %lu\n", (unsigned long)step);
            return 1;
        }
    }
    printf("equal for %lu steps\n", (unsigned long)TG_STEPS);
    return 0;
}
