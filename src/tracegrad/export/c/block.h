/* Block: a trace for each synapse and row, of the synapse's own neuron only. */

/* How rows of one neuron go on: fractions TG_OWN_FRACTION and, of the emission, TG_EMIT_FRACTION. */
typedef struct {
    int64_t own[TG_ROWS][TG_ROWS];
    tg_emission emission;
    int64_t signal;
} tg_neuron;

/* The draws of the synapses of one kind: of each row, and of what is filtered. */
typedef struct {
    tg_draws rows[TG_ROWS];
    tg_draws filtered;
    tg_change_draws weight;
} tg_chance;

static inline tg_neuron tg_neuron_of(const tg_learner *learner, unsigned j) {
    static const int64_t own[TG_ROWS][TG_ROWS] = TG_OWN;
    static const int64_t echo[TG_ROWS] = TG_ECHO;
    static const int64_t drive[TG_ROWS] = TG_DRIVE;
    const tg_emission before = tg_emission_of(learner->before, j);
    tg_neuron neuron;
    for (unsigned row = 0; row < TG_ROWS; row++) {
        int64_t self = echo[row];
#if TG_SELF_WEIGHT
        self += drive[row] * tg_power(TG_ECHO_FROM_WEIGHT) * learner->weights.recurrent[j][j];
#else
        (void)drive;
#endif
        for (unsigned col = 0; col < TG_ROWS; col++) {
            neuron.own[row][col] = own[row][col] + self * before.row[col] * tg_power(TG_OWN_FROM_ECHO);
        }
    }
    neuron.emission = tg_emission_of(learner->rows, j);
    neuron.signal = learner->signals[j];
    return neuron;
}

/* One synapse one step on: returns what the signal meets. `trace` is of the first row; the next
   row's lies `stride` further. */
static inline int64_t tg_push(const tg_neuron *neuron, tg_trace *trace, unsigned stride,
                              tg_trace *filtered, int64_t seen, tg_chance *chance,
                              uint32_t index) {
    static const int64_t drive[TG_ROWS] = TG_DRIVE;
    int64_t before[TG_ROWS];
    int64_t met = 0;
    for (unsigned row = 0; row < TG_ROWS; row++) {
        before[row] = trace[row * stride];
    }
    for (unsigned row = 0; row < TG_ROWS; row++) {
        int64_t after = drive[row] * seen * tg_power(TG_TRACE_FROM_DRIVE);
        for (unsigned col = 0; col < TG_ROWS; col++) {
            after += neuron->own[row][col] * before[col];
        }
        after = tg_hold(after, TG_OWN_FRACTION, TG_TRACE, &chance->rows[row], index);
        trace[row * stride] = (tg_trace)after;
        met += neuron->emission.row[row] * after;
    }
#if TG_FILTERED
    met = TG_KAPPA * (int64_t)*filtered * tg_power(TG_EMIT_FRACTION) + TG_READOUT_GAIN * met;
    met = tg_hold(met, TG_DECAY_FRACTION + TG_EMIT_FRACTION, TG_TRACE, &chance->filtered, index);
    *filtered = (tg_trace)met;
#else
    (void)filtered;
#endif
    return met;
}

static inline tg_chance tg_chance_of(const tg_learner *learner, const uint32_t rows[TG_ROWS],
                                     uint32_t filtered, uint32_t weight) {
    tg_chance chance;
    for (unsigned row = 0; row < TG_ROWS; row++) {
        chance.rows[row] = tg_draws_after(&learner->trace_draws, rows[row]);
    }
    chance.filtered = tg_draws_after(&learner->trace_draws, filtered);
    chance.weight = tg_change_draws_after(learner, weight);
    return chance;
}

static void tg_learn_hidden(tg_learner *learner, const uint8_t events[TG_INPUTS]) {
    static const uint32_t input_rows[TG_ROWS] = TG_DRAWS_INPUT_ROWS;
    tg_traces *traces = &learner->traces;
    tg_chance input =
        tg_chance_of(learner, input_rows, TG_DRAWS_INPUT_FILTERED, TG_DRAWS_INPUT_WEIGHT);
#if TG_RECURRENT
    static const uint32_t recurrent_rows[TG_ROWS] = TG_DRAWS_RECURRENT_ROWS;
    tg_chance recurrent = tg_chance_of(learner, recurrent_rows, TG_DRAWS_RECURRENT_FILTERED,
                                       TG_DRAWS_RECURRENT_WEIGHT);
#endif
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        const tg_neuron neuron = tg_neuron_of(learner, j);
        for (unsigned i = 0; i < TG_INPUTS; i++) {
            const uint32_t index = (uint32_t)(j * TG_INPUTS + i);
            tg_trace *filtered = 0;
#if TG_FILTERED
            filtered = &traces->input_filtered[j][i];
#endif
            const int64_t met = tg_push(&neuron, &traces->input[0][j][i], TG_NEURONS * TG_INPUTS,
                                        filtered, events[i], &input, index);
            TG_CHANGE(learner, input[j][i], neuron.signal * met, TG_INPUT_FINER, &input.weight,
                      index);
        }
#if TG_RECURRENT
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            const uint32_t index = (uint32_t)(j * TG_NEURONS + i);
            tg_trace *filtered = 0;
#if TG_FILTERED
            filtered = &traces->recurrent_filtered[j][i];
#endif
            const int64_t met = tg_push(&neuron, &traces->recurrent[0][j][i],
                                        TG_NEURONS * TG_NEURONS, filtered,
                                        learner->spikes_before[i], &recurrent, index);
            if (TG_AUTAPSES || i != j) {
                TG_CHANGE(learner, recurrent[j][i], neuron.signal * met, TG_RECURRENT_FINER,
                          &recurrent.weight, index);
            }
        }
#endif
    }
}

static void tg_learn_readout(tg_learner *learner, const int32_t errors[TG_OUTPUTS]) {
    tg_draws rows = tg_draws_after(&learner->trace_draws, TG_DRAWS_READOUT_ROW);
    tg_change_draws weight = tg_change_draws_after(learner, TG_DRAWS_READOUT_WEIGHT);
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            const uint32_t index = (uint32_t)(k * TG_NEURONS + i);
            tg_trace *trace = &learner->traces.readout[k][i];
            const int64_t after = TG_KAPPA * (int64_t)*trace +
                                  TG_READOUT_GAIN * (int64_t)learner->spikes[i] * TG_ONE_TRACE;
            *trace = (tg_trace)tg_hold(after, TG_DECAY_FRACTION, TG_TRACE, &rows, index);
            TG_CHANGE(learner, readout[k][i], errors[k] * (int64_t)*trace, TG_READOUT_FINER,
                      &weight, index);
        }
    }
}
