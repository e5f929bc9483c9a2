/* Symmetric: the errors come back through the readout's own weights. */

static void tg_hear(tg_learner *learner, const int32_t errors[TG_OUTPUTS], const int32_t *targets) {
    tg_draws draws = tg_draws_after(&learner->signal_draws, 0u);
    (void)targets;
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        int64_t sum = 0;
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            sum += (int64_t)errors[k] * learner->weights.readout[k][j];
        }
        learner->signals[j] = tg_sent(TG_ERROR_GAIN * sum, &draws, (uint32_t)j);
    }
}
