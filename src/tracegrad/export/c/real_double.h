/* The same library once more, in double precision, for the test to compare with. */
#ifndef TG_DOUBLE_H
#define TG_DOUBLE_H

#include <stdint.h>

/* The trained weights, and everything at rest. */
void tg_double_init(void);

/* One time step; a negative label is none. */
void tg_double_step(const uint8_t events[], int label);

/* All that it remembers: numbers in the order of `tg_learner`. */
const double *tg_double_numbers(void);

/* The norm of the difference of its weights to those wished in the end, over that of these. */
double tg_double_apart(void);

#endif
