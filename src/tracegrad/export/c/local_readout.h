/* Local readout: the layer's own fixed random readout, and its error; the last row is the bias. */

static void tg_hear(tg_learner *learner, const int32_t errors[TG_OUTPUTS], const int32_t *targets) {
    static const tg_weight feedback[TG_NEURONS + 1][TG_OUTPUTS] = TG_FEEDBACK;
    tg_draws draws = tg_draws_after(&learner->signal_draws, 0u);
    int64_t local[TG_OUTPUTS];
    (void)errors;
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        int64_t sum = feedback[TG_NEURONS][k];
        for (unsigned j = 0; j < TG_NEURONS; j++) {
            sum += learner->spikes[j] ? feedback[j][k] : 0;
        }
        local[k] = sum * tg_power(TG_LOCAL_FROM_FEEDBACK) -
                   targets[k] * tg_power(TG_LOCAL_FROM_TARGET);
    }
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        int64_t sum = 0;
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            sum += local[k] * feedback[j][k];
        }
        learner->signals[j] = tg_sent(sum, &draws, (uint32_t)j);
    }
}
