/* One time step: states, spikes, outputs, errors, signals, traces, weights, in this order. */

#include "learner.h"

#include <string.h>

#include "neuron.h"

void tg_init(tg_learner *learner) {
    static const tg_weights weights = TG_WEIGHTS;
    learner->weights = weights;
    tg_rest(learner);
}

void tg_rest(tg_learner *learner) {
    static const tg_real rest[TG_NEURONS][TG_ROWS] = TG_REST;
    memcpy(learner->rows, rest, sizeof learner->rows);
    memcpy(learner->before, rest, sizeof learner->before);
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        learner->currents[j] = learner->spikes[j] = learner->spikes_before[j] = 0;
    }
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        learner->outputs[k] = 0;
    }
    memset(&learner->traces, 0, sizeof learner->traces); /* all bits 0 is 0 in IEEE 754 */
}

static tg_real tg_current(const tg_learner *learner, const uint8_t events[TG_INPUTS], unsigned j) {
    tg_real current = 0;
    for (unsigned i = 0; i < TG_INPUTS; i++) {
        current += learner->weights.input[j][i] * (tg_real)events[i];
    }
#if TG_RECURRENT
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        current += learner->weights.recurrent[j][i] * learner->spikes_before[i];
    }
#endif
    return current;
}

void tg_run(tg_learner *learner, const uint8_t events[TG_INPUTS]) {
    memcpy(learner->before, learner->rows, sizeof learner->rows);
    memcpy(learner->spikes_before, learner->spikes, sizeof learner->spikes);
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        learner->currents[j] = tg_current(learner, events, j);
        tg_advance(j, learner->before[j], learner->spikes_before[j], learner->currents[j],
                   learner->rows[j]);
        learner->spikes[j] = tg_output(j, learner->rows[j]);
    }
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        tg_real current = 0;
        for (unsigned j = 0; j < TG_NEURONS; j++) {
            current += learner->weights.readout[k][j] * learner->spikes[j];
        }
        learner->outputs[k] = TG_KAPPA * learner->outputs[k] + TG_READOUT_GAIN * current;
    }
}

#include "rule.h"
#include "signal.h"

void tg_step(tg_learner *learner, const uint8_t events[TG_INPUTS], const tg_real *targets) {
    tg_real errors[TG_OUTPUTS] = {0};
    tg_real signals[TG_NEURONS] = {0};
    tg_run(learner, events);
    if (targets != 0) {
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            errors[k] = learner->outputs[k] - targets[k];
        }
        tg_hear(learner, errors, targets, signals);
    }
    tg_learn_hidden(learner, events, signals);
    tg_learn_readout(learner, errors);
}

void tg_step_class(tg_learner *learner, const uint8_t events[TG_INPUTS], unsigned label) {
    tg_real targets[TG_OUTPUTS];
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        targets[k] = k == label ? 1 : 0;
    }
    tg_step(learner, events, targets);
}

unsigned tg_decision(const tg_learner *learner) {
    unsigned best = 0;
    for (unsigned k = 1; k < TG_OUTPUTS; k++) {
        best = learner->outputs[k] > learner->outputs[best] ? k : best;
    }
    return best;
}
