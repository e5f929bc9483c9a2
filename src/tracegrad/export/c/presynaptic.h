/* Presynaptic: a trace for each line, and a factor for each neuron. */

/* The trace of a line one step on. */
static inline int64_t tg_push(tg_trace *trace, int64_t leak, int64_t seen, tg_draws *draws,
                              uint32_t index) {
    const int64_t after = leak * *trace + seen * TG_ONE_TRACE * tg_power(TG_DECAY_FRACTION);
    *trace = (tg_trace)tg_hold(after, TG_DECAY_FRACTION, TG_TRACE, draws, index);
    return *trace;
}

/* A factor as it is stored: with the bits of a trace behind its point. */
static inline int64_t tg_factor(int64_t factor, int shift, tg_draws *draws, uint32_t index) {
    return tg_hold(factor, shift, TG_TRACE, draws, index);
}

static void tg_learn_hidden(tg_learner *learner, const uint8_t events[TG_INPUTS]) {
    static const int64_t drive[TG_ROWS] = TG_DRIVE;
    const tg_learner *now = learner;
    tg_traces *traces = &learner->traces;
    tg_draws input = tg_draws_after(&learner->trace_draws, TG_DRAWS_INPUT_LINES);
    tg_draws emissions = tg_draws_after(&learner->trace_draws, TG_DRAWS_EMISSION);
    tg_draws drives = tg_draws_after(&learner->trace_draws, TG_DRAWS_DRIVE);
    tg_change_draws input_weight = tg_change_draws_after(learner, TG_DRAWS_INPUT_WEIGHT);
    for (unsigned i = 0; i < TG_INPUTS; i++) {
        (void)tg_push(&traces->input[i], TG_ALPHA, events[i], &input, i);
    }
#if TG_RECURRENT
    tg_draws recurrent = tg_draws_after(&learner->trace_draws, TG_DRAWS_RECURRENT_LINES);
    tg_change_draws recurrent_weight = tg_change_draws_after(learner, TG_DRAWS_RECURRENT_WEIGHT);
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        (void)tg_push(&traces->recurrent[i], TG_ALPHA, learner->spikes_before[i], &recurrent, i);
    }
#endif
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        const int64_t emission = tg_factor(tg_emission_of(now->rows, j).row[0],
                                           TG_EMIT_FRACTION - TG_TRACE_FRACTION, &emissions, j);
        const int64_t driven =
            tg_factor(drive[0], TG_DRIVE_FRACTION - TG_TRACE_FRACTION, &drives, j);
        const int64_t signal = learner->signals[j] * emission * driven;
        for (unsigned i = 0; i < TG_INPUTS; i++) {
            TG_CHANGE(learner, input[j][i], signal * traces->input[i], TG_INPUT_FINER,
                      &input_weight, (uint32_t)(j * TG_INPUTS + i));
        }
#if TG_RECURRENT
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            if (TG_AUTAPSES || i != j) {
                TG_CHANGE(learner, recurrent[j][i], signal * traces->recurrent[i],
                          TG_RECURRENT_FINER, &recurrent_weight, (uint32_t)(j * TG_NEURONS + i));
            }
        }
#endif
    }
}

static void tg_learn_readout(tg_learner *learner, const int32_t errors[TG_OUTPUTS]) {
    tg_draws lines = tg_draws_after(&learner->trace_draws, TG_DRAWS_READOUT_LINES);
    tg_draws drives = tg_draws_after(&learner->trace_draws, TG_DRAWS_READOUT_DRIVE);
    tg_draws emissions = tg_draws_after(&learner->trace_draws, TG_DRAWS_READOUT_EMISSION);
    tg_change_draws weight = tg_change_draws_after(learner, TG_DRAWS_READOUT_WEIGHT);
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        (void)tg_push(&learner->traces.readout[i], TG_KAPPA, learner->spikes[i], &lines, i);
    }
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        const int64_t driven =
            tg_factor(TG_READOUT_GAIN, TG_DECAY_FRACTION - TG_TRACE_FRACTION, &drives, k);
        const int64_t emission = tg_factor(1, -TG_TRACE_FRACTION, &emissions, k);
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            TG_CHANGE(learner, readout[k][i],
                      errors[k] * driven * emission * learner->traces.readout[i],
                      TG_READOUT_FINER, &weight, (uint32_t)(k * TG_NEURONS + i));
        }
    }
}
