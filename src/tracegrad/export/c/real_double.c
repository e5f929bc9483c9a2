/* The library compiled for double under other names, so that a program can have both. */

#define TG_DOUBLE
#define tg_init tg_other_init
#define tg_rest tg_other_rest
#define tg_run tg_other_run
#define tg_step tg_other_step
#define tg_step_class tg_other_step_class
#define tg_decision tg_other_decision
#include "learner.c"

#include <math.h>

#include "double.h"
#include "vector.h"

static tg_learner other;

void tg_double_init(void) { tg_init(&other); }

void tg_double_step(const uint8_t events[], int label) {
    if (label < 0) {
        tg_step(&other, events, 0);
    } else {
        tg_step_class(&other, events, (unsigned)label);
    }
}

const double *tg_double_numbers(void) { return (const double *)&other; }

double tg_double_apart(void) {
    static const tg_weights after = TG_WEIGHTS_AFTER;
    const double *found = (const double *)&other.weights;
    const double *wished = (const double *)&after;
    double apart = 0.0;
    double whole = 0.0;
    for (unsigned i = 0; i < sizeof after / sizeof(double); i++) {
        apart += (found[i] - wished[i]) * (found[i] - wished[i]);
        whole += wished[i] * wished[i];
    }
    return sqrt(apart / whole);
}
