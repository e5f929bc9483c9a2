/* One neuron, from its own code: its step, its output, and their derivatives. */
#ifndef TG_NEURON_H
#define TG_NEURON_H

#include <tgmath.h>

typedef tg_real REAL; /* as the statements below call it */

static const tg_real tg_constants[TG_NEURONS][TG_COEFFICIENTS] = TG_CONSTANTS;

#define TG_GIVEN                          \
    const tg_real *const c = tg_constants[j]; \
    (void)c;                              \
    (void)s

/* The rows after a step, from those before it, the last output and the current. */
static inline void tg_advance(unsigned j, const tg_real s[TG_ROWS], tg_real z, tg_real current,
                              tg_real after[TG_ROWS]) {
    TG_GIVEN;
    (void)z;
    @advance@
}

static inline tg_real tg_output(unsigned j, const tg_real s[TG_ROWS]) {
    TG_GIVEN;
    @output@
}

/* Derivatives of the rows after a step: by the rows before it, the last output, the current. */
static inline void tg_local(unsigned j, const tg_real s[TG_ROWS], tg_real z, tg_real current,
                            tg_real own[TG_ROWS][TG_ROWS], tg_real echo[TG_ROWS],
                            tg_real drive[TG_ROWS]) {
    TG_GIVEN;
    (void)z;
    (void)current;
    @local@
}

/* Derivatives of the output by the rows. */
static inline void tg_emit(unsigned j, const tg_real s[TG_ROWS], tg_real emission[TG_ROWS]) {
    TG_GIVEN;
    @emit@
}

#endif
