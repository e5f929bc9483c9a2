/* ReckOn's signal: the errors come back through the readout's own weights, without rounding. */

static void tg_hear(tg_learner *learner, const int32_t errors[TG_OUTPUTS], const int32_t *targets) {
    (void)targets;
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        int64_t sum = 0;
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            sum += (int64_t)errors[k] * learner->weights.readout[k][j];
        }
        learner->signals[j] =
            (tg_signal)tg_fit(tg_floor_shift(sum * tg_power(TG_LOUDER), 12), TG_SIGNAL);
    }
}
