/* Presynaptic: a trace for each line, and a factor for each neuron. */

/* How the traces of lines go on, and what a neuron makes of them. */
typedef struct {
    tg_real leak;
    tg_real factor;
} tg_neuron;

static tg_neuron tg_neuron_of(const tg_learner *learner, unsigned j) {
    tg_neuron neuron;
    tg_real own[TG_ROWS][TG_ROWS];
    tg_real echo[TG_ROWS];
    tg_real drive[TG_ROWS];
    tg_real emission[TG_ROWS];
    tg_local(j, learner->before[j], learner->spikes_before[j], learner->currents[j], own, echo,
             drive);
    tg_emit(j, learner->rows[j], emission);
    neuron.leak = own[0][0];
    neuron.factor = emission[0] * drive[0];
    return neuron;
}

static void tg_learn_hidden(tg_learner *learner, const uint8_t events[TG_INPUTS],
                            const tg_real signals[TG_NEURONS]) {
    tg_traces *traces = &learner->traces;
    const tg_real leak = tg_neuron_of(learner, 0).leak; /* that of every neuron */
    for (unsigned i = 0; i < TG_INPUTS; i++) {
        traces->input[i] = leak * traces->input[i] + (tg_real)events[i];
    }
#if TG_RECURRENT
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        traces->recurrent[i] = leak * traces->recurrent[i] + learner->spikes_before[i];
    }
#endif
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        const tg_real signal = TG_RATE * signals[j] * tg_neuron_of(learner, j).factor;
        for (unsigned i = 0; i < TG_INPUTS; i++) {
            learner->weights.input[j][i] -= signal * traces->input[i];
        }
#if TG_RECURRENT
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            if (TG_AUTAPSES || i != j) {
                learner->weights.recurrent[j][i] -= signal * traces->recurrent[i];
            }
        }
#endif
    }
}

static void tg_learn_readout(tg_learner *learner, const tg_real errors[TG_OUTPUTS]) {
    tg_real *traces = learner->traces.readout;
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        traces[i] = TG_KAPPA * traces[i] + learner->spikes[i];
    }
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        const tg_real error = TG_RATE * errors[k] * TG_READOUT_GAIN;
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            learner->weights.readout[k][i] -= error * traces[i];
        }
    }
}
