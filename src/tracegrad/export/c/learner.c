/* One time step: states, spikes, outputs, errors, signals, traces, weights, in this order. */

#include "learner.h"

#include <string.h>

#include "cell.h"

/* The slope of every distance to threshold at which it is not zero; it is even. */
static inline int64_t tg_slope(int64_t distance) {
    static const tg_slope_type slopes[TG_SLOPES] = TG_SLOPE_TABLE;
    const int64_t held = tg_hold(distance, TG_DISTANCE_SHIFT, TG_SLOPE, 0, 0u);
    const int64_t at = held < 0 ? -held : held;
    return at < TG_SLOPES ? slopes[at] : 0;
}

static inline tg_emission tg_emission_of(const tg_state rows[TG_ROWS][TG_NEURONS], unsigned j) {
    tg_state one[TG_ROWS];
    for (unsigned row = 0; row < TG_ROWS; row++) {
        one[row] = rows[row][j];
    }
    return tg_emit(tg_slope(tg_distance(one)));
}

#if TG_ACCUMULATES
#define TG_CHANGE(learner, place, ...) \
    tg_change(&(learner)->weights.place, &(learner)->kept.place, __VA_ARGS__)

/* The whole bits of what was kept and a change, `shift` bits finer than one; the rest is kept. */
static inline int64_t tg_bits(int64_t change, int shift, tg_kept *kept, const tg_draws *draws,
                              uint32_t index) {
    const int64_t fine =
        tg_round(change, shift - TG_KEPT_FRACTION, TG_WEIGHT_ROUNDING, draws, index);
    const int64_t total = tg_fit(*kept + fine, TG_KEPT);
    const int64_t bits = total / tg_power(TG_KEPT_FRACTION);
    *kept = (tg_kept)(total - bits * tg_power(TG_KEPT_FRACTION));
    return bits;
}
#else
#define TG_CHANGE(learner, place, ...) tg_change(&(learner)->weights.place, 0, __VA_ARGS__)

/* The whole bits of a change, `shift` bits finer than one; nothing is kept. */
static inline int64_t tg_bits(int64_t change, int shift, const tg_kept *kept,
                              const tg_draws *draws, uint32_t index) {
    const int64_t bits = tg_round(change, shift, TG_WEIGHT_ROUNDING, draws, index);
    (void)kept;
    if (TG_WEIGHT_MOST == 0) {
        return bits;
    }
    return bits > TG_WEIGHT_MOST ? TG_WEIGHT_MOST : bits < -TG_WEIGHT_MOST ? -TG_WEIGHT_MOST : bits;
}
#endif

/* A weight moved against its gradient, `shift` bits finer than its least significant bit. */
static inline void tg_change(tg_weight *weight, tg_kept *kept, int64_t gradient, int shift,
                             const tg_draws *draws, uint32_t index) {
    if (gradient != 0) {
        const int64_t bits = tg_bits(-gradient, shift, kept, draws, index);
        *weight = (tg_weight)tg_fit(*weight + bits, TG_WEIGHT);
    }
}

#include "rule.h"

void tg_init(tg_learner *learner) {
    static const tg_weights weights = TG_WEIGHTS;
    static const tg_random trace_draws = {TG_TRACE_KEY, 0u};
    static const tg_random signal_draws = {TG_SIGNAL_KEY, 0u};
    static const tg_random weight_draws = {TG_WEIGHT_KEY, 0u};
    learner->weights = weights;
#if TG_ACCUMULATES
    memset(&learner->kept, 0, sizeof learner->kept);
#endif
    learner->trace_draws = trace_draws;
    learner->signal_draws = signal_draws;
    learner->weight_draws = weight_draws;
    tg_rest(learner);
}

void tg_rest(tg_learner *learner) {
    memset(learner->rows, 0, sizeof learner->rows);
    memset(learner->before, 0, sizeof learner->before);
    memset(learner->outputs, 0, sizeof learner->outputs);
    memset(learner->signals, 0, sizeof learner->signals);
    memset(learner->spikes, 0, sizeof learner->spikes);
    memset(learner->spikes_before, 0, sizeof learner->spikes_before);
    memset(&learner->traces, 0, sizeof learner->traces);
}

/* A neuron's current, with TG_CURRENT_FRACTION bits behind the point. */
static int64_t tg_current(const tg_learner *learner, const uint8_t events[TG_INPUTS], unsigned j) {
    int32_t below = 0;
    for (unsigned i = 0; i < TG_INPUTS; i++) {
        below += learner->weights.input[j][i] * (int32_t)events[i];
    }
    int64_t current = below * tg_power(TG_CURRENT_FROM_INPUT);
#if TG_RECURRENT
    int32_t own = 0;
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        own += learner->spikes_before[i] ? learner->weights.recurrent[j][i] : 0;
    }
    current += own * tg_power(TG_CURRENT_FROM_RECURRENT);
#endif
    return current;
}

void tg_run(tg_learner *learner, const uint8_t events[TG_INPUTS]) {
    memcpy(learner->before, learner->rows, sizeof learner->rows);
    memcpy(learner->spikes_before, learner->spikes, sizeof learner->spikes);
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        tg_state before[TG_ROWS];
        tg_state after[TG_ROWS];
        for (unsigned row = 0; row < TG_ROWS; row++) {
            before[row] = learner->before[row][j];
        }
        tg_advance(before, learner->spikes_before[j], tg_current(learner, events, j), after);
        for (unsigned row = 0; row < TG_ROWS; row++) {
            learner->rows[row][j] = after[row];
        }
        learner->spikes[j] = tg_distance(after) > 0;
    }
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        int32_t current = 0;
        for (unsigned j = 0; j < TG_NEURONS; j++) {
            current += learner->spikes[j] ? learner->weights.readout[k][j] : 0;
        }
        const int64_t y = TG_KAPPA * (int64_t)learner->outputs[k] * tg_power(TG_Y_FROM_Y) +
                          TG_READOUT_GAIN * current * tg_power(TG_Y_FROM_CURRENT);
        learner->outputs[k] = (tg_state)tg_hold(y, TG_Y_SHIFT, TG_STATE, 0, 0u);
    }
}

#include "signal.h"

void tg_step(tg_learner *learner, const uint8_t events[TG_INPUTS], const int32_t *targets) {
    int32_t errors[TG_OUTPUTS] = {0};
    tg_run(learner, events);
    if (targets != 0) {
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            errors[k] = learner->outputs[k] - targets[k];
        }
        tg_hear(learner, errors, targets);
    } else {
        memset(learner->signals, 0, sizeof learner->signals);
    }
    tg_learn_hidden(learner, events);
    tg_learn_readout(learner, errors);
    learner->signal_draws.used += TG_SIGNAL_USES;
    learner->trace_draws.used += TG_TRACE_USES;
    learner->weight_draws.used += TG_WEIGHT_USES;
}

void tg_step_class(tg_learner *learner, const uint8_t events[TG_INPUTS], unsigned label) {
    int32_t targets[TG_OUTPUTS] = {0};
    targets[label] = (int32_t)1 << TG_STATE_FRACTION;
    tg_step(learner, events, targets);
}

unsigned tg_decision(const tg_learner *learner) {
    unsigned best = 0;
    for (unsigned k = 1; k < TG_OUTPUTS; k++) {
        best = learner->outputs[k] > learner->outputs[best] ? k : best;
    }
    return best;
}

#define TG_SUM(sum, array, type)                                                        \
    do {                                                                                \
        const type *values = (const type *)(array);                                     \
        uint32_t part = 0;                                                              \
        for (uint32_t i = 0; i < (uint32_t)(sizeof(array) / sizeof(type)); i++) {       \
            part += (uint32_t)(int32_t)values[i] * (UINT32_C(2654435761) * (2u * i + 1u)); \
        }                                                                               \
        (sum) = (sum) * 31u + part;                                                     \
    } while (0)

uint32_t tg_digest(const tg_learner *learner) {
    uint32_t sum = 0;
    TG_SUM(sum, learner->rows, tg_state);
    TG_SUM(sum, learner->spikes, uint8_t);
    TG_SUM(sum, learner->outputs, tg_state);
    TG_SUM(sum, learner->weights.input, tg_weight);
#if TG_RECURRENT
    TG_SUM(sum, learner->weights.recurrent, tg_weight);
#endif
    TG_SUM(sum, learner->weights.readout, tg_weight);
#if TG_ACCUMULATES
    TG_SUM(sum, learner->kept.input, tg_kept);
#if TG_RECURRENT
    TG_SUM(sum, learner->kept.recurrent, tg_kept);
#endif
    TG_SUM(sum, learner->kept.readout, tg_kept);
#endif
    TG_SUM(sum, learner->traces.input, tg_trace);
#if TG_RECURRENT
    TG_SUM(sum, learner->traces.recurrent, tg_trace);
#endif
    TG_SUM(sum, learner->traces.readout, tg_trace);
#if TG_FILTERED
    TG_SUM(sum, learner->traces.input_filtered, tg_trace);
#if TG_RECURRENT
    TG_SUM(sum, learner->traces.recurrent_filtered, tg_trace);
#endif
#endif
    return sum;
}
