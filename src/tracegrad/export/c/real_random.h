/* Random: the errors come back through fixed random weights. */

static void tg_hear(const tg_learner *learner, const tg_real errors[TG_OUTPUTS],
                    const tg_real *targets, tg_real signals[TG_NEURONS]) {
    static const tg_real feedback[TG_NEURONS][TG_OUTPUTS] = TG_FEEDBACK;
    (void)learner;
    (void)targets;
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            signals[j] += TG_ERROR_GAIN * errors[k] * feedback[j][k];
        }
    }
}
