/* Block: a trace for each synapse and row, of the synapse's own neuron only. */

/* How the rows of one neuron go on, what they do to its output, and its signal. */
typedef struct {
    tg_real own[TG_ROWS][TG_ROWS];
    tg_real drive[TG_ROWS];
    tg_real emission[TG_ROWS];
    tg_real signal;
} tg_neuron;

static tg_neuron tg_neuron_of(const tg_learner *learner, unsigned j, tg_real signal) {
    tg_neuron neuron;
    tg_real echo[TG_ROWS];
    tg_real before[TG_ROWS];
    tg_local(j, learner->before[j], learner->spikes_before[j], learner->currents[j], neuron.own,
             echo, neuron.drive);
    tg_emit(j, learner->before[j], before);
    tg_emit(j, learner->rows[j], neuron.emission);
    neuron.signal = signal;
    for (unsigned row = 0; row < TG_ROWS; row++) {
#if TG_SELF_WEIGHT
        echo[row] += neuron.drive[row] * learner->weights.recurrent[j][j];
#endif
        for (unsigned col = 0; col < TG_ROWS; col++) {
            neuron.own[row][col] += echo[row] * before[col];
        }
    }
    return neuron;
}

/* One synapse one step on: its traces, and the change of its weight. */
static tg_real tg_push(const tg_neuron *neuron, tg_real trace[TG_ROWS], tg_real *filtered, tg_real seen) {
    tg_real before[TG_ROWS];
    tg_real met = 0;
    memcpy(before, trace, sizeof before);
    for (unsigned row = 0; row < TG_ROWS; row++) {
        trace[row] = neuron->drive[row] * seen;
        for (unsigned col = 0; col < TG_ROWS; col++) {
            trace[row] += neuron->own[row][col] * before[col];
        }
        met += neuron->emission[row] * trace[row];
    }
#if TG_FILTERED
    met = TG_KAPPA * *filtered + TG_READOUT_GAIN * met;
    *filtered = met;
#else
    (void)filtered;
#endif
    return -TG_RATE * neuron->signal * met;
}

static void tg_learn_hidden(tg_learner *learner, const uint8_t events[TG_INPUTS],
                            const tg_real signals[TG_NEURONS]) {
    tg_traces *traces = &learner->traces;
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        const tg_neuron neuron = tg_neuron_of(learner, j, signals[j]);
        tg_real *filtered = 0;
        for (unsigned i = 0; i < TG_INPUTS; i++) {
#if TG_FILTERED
            filtered = &traces->input_filtered[j][i];
#endif
            learner->weights.input[j][i] +=
                tg_push(&neuron, traces->input[j][i], filtered, (tg_real)events[i]);
        }
#if TG_RECURRENT
        for (unsigned i = 0; i < TG_NEURONS; i++) {
#if TG_FILTERED
            filtered = &traces->recurrent_filtered[j][i];
#endif
            const tg_real change = tg_push(&neuron, traces->recurrent[j][i], filtered,
                                         learner->spikes_before[i]);
            if (TG_AUTAPSES || i != j) {
                learner->weights.recurrent[j][i] += change;
            }
        }
#endif
    }
}

static void tg_learn_readout(tg_learner *learner, const tg_real errors[TG_OUTPUTS]) {
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            tg_real *trace = &learner->traces.readout[k][i];
            *trace = TG_KAPPA * *trace + TG_READOUT_GAIN * learner->spikes[i];
            learner->weights.readout[k][i] -= TG_RATE * errors[k] * *trace;
        }
    }
}
