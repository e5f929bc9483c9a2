/* A spiking network that learns on the device: no allocation, no floating point, no dependency. */
#ifndef TG_LEARNER_H
#define TG_LEARNER_H

#include <stdint.h>

#include "draws.h"
#include "fixed.h"
#include "model.h"

/* Weights as whole numbers of their matrix's least significant bit; row index postsynaptic. */
typedef struct {
    tg_weight input[TG_NEURONS][TG_INPUTS];
#if TG_RECURRENT
    tg_weight recurrent[TG_NEURONS][TG_NEURONS];
#endif
    tg_weight readout[TG_OUTPUTS][TG_NEURONS];
} tg_weights;

#if TG_ACCUMULATES
/* What is left over of the changes of each weight, in 2^-TG_KEPT_FRACTION of its least bit. */
typedef struct {
    tg_kept input[TG_NEURONS][TG_INPUTS];
#if TG_RECURRENT
    tg_kept recurrent[TG_NEURONS][TG_NEURONS];
#endif
    tg_kept readout[TG_OUTPUTS][TG_NEURONS];
} tg_accumulators;
#endif

typedef struct tg_learner tg_learner;

/* What a neuron's rows do to its output. */
typedef struct {
    int64_t row[TG_ROWS];
} tg_emission;

#include "traces.h"

/* All there is: declare one, for example `static tg_learner learner;`. */
struct tg_learner {
    tg_weights weights;
#if TG_ACCUMULATES
    tg_accumulators kept;
#endif
    tg_state rows[TG_ROWS][TG_NEURONS];
    tg_state before[TG_ROWS][TG_NEURONS];
    tg_state outputs[TG_OUTPUTS];
    tg_signal signals[TG_NEURONS];
    uint8_t spikes[TG_NEURONS];
    uint8_t spikes_before[TG_NEURONS];
    tg_traces traces;
    tg_random trace_draws;
    tg_random signal_draws;
    tg_random weight_draws;
#if TG_GATED
    tg_random gate_draws;
#endif
};

/* The trained weights, everything at rest, and the generators at their start. */
void tg_init(tg_learner *learner);

/* States and traces at rest, before a new sequence; the weights and generators stay. */
void tg_rest(tg_learner *learner);

/* One time step: `events` counts what arrives on each line; then learning from `targets`, one for
   each output, with TG_STATE_FRACTION bits behind the point. Without targets (0) the network runs
   and its traces go on, but no weight changes. */
void tg_step(tg_learner *learner, const uint8_t events[TG_INPUTS], const int32_t *targets);

/* One time step without learning: states and outputs move, traces and weights stay. */
void tg_run(tg_learner *learner, const uint8_t events[TG_INPUTS]);

/* A step of learning with a class for a target: 1 at its output, 0 at the others. */
void tg_step_class(tg_learner *learner, const uint8_t events[TG_INPUTS], unsigned label);

/* The output that is largest now. */
unsigned tg_decision(const tg_learner *learner);

/* A sum over all that is remembered, which any single difference changes. */
uint32_t tg_digest(const tg_learner *learner);

#endif
