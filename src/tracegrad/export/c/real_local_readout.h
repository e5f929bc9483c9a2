/* Local readout: the layer's own fixed random readout, and its error; the last row is the bias. */

static void tg_hear(const tg_learner *learner, const tg_real errors[TG_OUTPUTS],
                    const tg_real *targets, tg_real signals[TG_NEURONS]) {
    static const tg_real feedback[TG_NEURONS + 1][TG_OUTPUTS] = TG_FEEDBACK;
    tg_real local[TG_OUTPUTS];
    (void)errors;
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        tg_real sum = feedback[TG_NEURONS][k];
        for (unsigned j = 0; j < TG_NEURONS; j++) {
            sum += learner->spikes[j] * feedback[j][k];
        }
        local[k] = sum - targets[k];
    }
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            signals[j] += local[k] * feedback[j][k];
        }
    }
}
