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
static inline int64_t tg_bits(int64_t change, int shift, tg_kept *kept, tg_draws *draws,
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
                              tg_draws *draws, uint32_t index) {
    const int64_t bits = tg_round(change, shift, TG_WEIGHT_ROUNDING, draws, index);
    (void)kept;
    if (TG_WEIGHT_MOST == 0) {
        return bits;
    }
    return bits > TG_WEIGHT_MOST ? TG_WEIGHT_MOST : bits < -TG_WEIGHT_MOST ? -TG_WEIGHT_MOST : bits;
}
#endif

/* The draws of one matrix's changes: how they are rounded, and whether they are made at all. */
typedef struct {
    tg_draws rounding;
#if TG_GATED
    tg_draws gate;
#endif
} tg_change_draws;

static inline tg_change_draws tg_change_draws_after(const tg_learner *learner, uint32_t later) {
    tg_change_draws draws;
    draws.rounding = tg_draws_after(&learner->weight_draws, later);
#if TG_GATED
    draws.gate = tg_draws_after(&learner->gate_draws, later);
#endif
    return draws;
}

/* How many bits a gradient is finer than the weight it changes, and the least that changes it. */
typedef struct {
    int shift;
    int64_t least;
} tg_finer;

#define TG_INPUT_FINER ((tg_finer){TG_INPUT_SHIFT, TG_INPUT_LEAST})
#define TG_RECURRENT_FINER ((tg_finer){TG_RECURRENT_SHIFT, TG_RECURRENT_LEAST})
#define TG_READOUT_FINER ((tg_finer){TG_READOUT_SHIFT, TG_READOUT_LEAST})

/* A weight moved against its gradient. */
static inline void tg_change(tg_weight *weight, tg_kept *kept, int64_t gradient, tg_finer finer,
                             tg_change_draws *draws, uint32_t index) {
    if (gradient == 0 || (gradient < 0 ? -gradient : gradient) < finer.least) {
        return;
    }
#if TG_GATED
    if (tg_draw(&draws->gate, index) >= TG_GATE_LEVEL) {
        return;
    }
#endif
    const int64_t bits = tg_bits(-gradient, finer.shift, kept, &draws->rounding, index);
    *weight = (tg_weight)tg_fit(*weight + bits, TG_WEIGHT);
}

#include "rule.h"

#if TG_LFSR
static const uint32_t tg_trace_jumps[] = TG_TRACE_JUMPS;
static const uint32_t tg_signal_jumps[] = TG_SIGNAL_JUMPS;
static const uint32_t tg_weight_jumps[] = TG_WEIGHT_JUMPS;
static const tg_lfsr tg_trace_lfsr = {TG_TRACE_WIDTH, TG_TRACE_TAPS, tg_trace_jumps};
static const tg_lfsr tg_signal_lfsr = {TG_SIGNAL_WIDTH, TG_SIGNAL_TAPS, tg_signal_jumps};
static const tg_lfsr tg_weight_lfsr = {TG_WEIGHT_WIDTH, TG_WEIGHT_TAPS, tg_weight_jumps};
#if TG_GATED
static const tg_lfsr tg_no_lfsr = {0u, 0u, 0};
#endif
#define TG_START(key, lfsr) {key, 0u, &lfsr}
#else
#define TG_START(key, lfsr) {key, 0u}
#endif

void tg_init(tg_learner *learner) {
    static const tg_weights weights = TG_WEIGHTS;
    static const tg_random trace_draws = TG_START(TG_TRACE_KEY, tg_trace_lfsr);
    static const tg_random signal_draws = TG_START(TG_SIGNAL_KEY, tg_signal_lfsr);
    static const tg_random weight_draws = TG_START(TG_WEIGHT_KEY, tg_weight_lfsr);
#if TG_GATED
    static const tg_random gate_draws = TG_START(TG_GATE_KEY, tg_no_lfsr);
#endif
    learner->weights = weights;
#if TG_ACCUMULATES
    memset(&learner->kept, 0, sizeof learner->kept);
#endif
    learner->trace_draws = trace_draws;
    learner->signal_draws = signal_draws;
    learner->weight_draws = weight_draws;
#if TG_GATED
    learner->gate_draws = gate_draws;
#endif
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

/* A signal as it is sent: held, and not at all below the least that is. */
static inline tg_signal tg_sent(int64_t signal, tg_draws *draws, uint32_t index) {
    if ((signal < 0 ? -signal : signal) < TG_SIGNAL_LEAST) {
        return 0;
    }
    return (tg_signal)tg_hold(signal, TG_SIGNAL_SHIFT, TG_SIGNAL, draws, index);
}

#include "error.h"
#include "signal.h"

void tg_step(tg_learner *learner, const uint8_t events[TG_INPUTS], const int32_t *targets) {
    int32_t errors[TG_OUTPUTS] = {0};
    tg_run(learner, events);
    if (targets != 0) {
        for (unsigned k = 0; k < TG_OUTPUTS; k++) {
            errors[k] = tg_error(learner->outputs[k], targets[k]);
        }
        tg_hear(learner, errors, targets);
    } else {
        memset(learner->signals, 0, sizeof learner->signals);
    }
    tg_learn_hidden(learner, events);
    tg_learn_readout(learner, errors);
    tg_use(&learner->signal_draws, TG_SIGNAL_USES);
    tg_use(&learner->trace_draws, TG_TRACE_USES);
    tg_use(&learner->weight_draws, TG_WEIGHT_USES);
#if TG_GATED
    tg_use(&learner->gate_draws, TG_GATE_USES);
#endif
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
