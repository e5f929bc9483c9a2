/* Symmetric: the errors come back through the readout's own weights. */

static void tg_hear(const tg_learner *learner, const tg_real errors[TG_OUTPUTS],
                    const tg_real *targets, tg_real signals[TG_NEURONS]) {
    (void)targets;
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            signals[j] += TG_ERROR_GAIN * errors[k] * learner->weights.readout[k][j];
        }
    }
}
