/* A spiking network that learns on the device, in single precision: no allocation. */
#ifndef TG_LEARNER_H
#define TG_LEARNER_H

#include <stdint.h>

/* Single precision; double only to compare with the simulation, -DTG_DOUBLE. */
#ifdef TG_DOUBLE
typedef double tg_real;
#else
typedef float tg_real;
#endif
#define TG_NUMBER(x) ((tg_real)(x))

#include "model.h"

/* Row index postsynaptic. */
typedef struct {
    tg_real input[TG_NEURONS][TG_INPUTS];
#if TG_RECURRENT
    tg_real recurrent[TG_NEURONS][TG_NEURONS];
#endif
    tg_real readout[TG_OUTPUTS][TG_NEURONS];
} tg_weights;

#include "traces.h"

/* All there is: declare one, for example `static tg_learner learner;`. */
typedef struct {
    tg_weights weights;
    tg_real rows[TG_NEURONS][TG_ROWS];
    tg_real before[TG_NEURONS][TG_ROWS];
    tg_real currents[TG_NEURONS];
    tg_real spikes[TG_NEURONS];
    tg_real spikes_before[TG_NEURONS];
    tg_real outputs[TG_OUTPUTS];
    tg_traces traces;
} tg_learner;

/* The trained weights, and everything at rest. */
void tg_init(tg_learner *learner);

/* States and traces at rest, before a new sequence; the weights stay. */
void tg_rest(tg_learner *learner);

/* One time step: `events` is what arrives on each line; then learning from `targets`, one for each
   output. Without targets (0) the network runs and its traces go on, but no weight changes. */
void tg_step(tg_learner *learner, const uint8_t events[TG_INPUTS], const tg_real *targets);

/* One time step without learning: states and outputs move, traces and weights stay. */
void tg_run(tg_learner *learner, const uint8_t events[TG_INPUTS]);

/* A step of learning with a class for a target: 1 at its output, 0 at the others. */
void tg_step_class(tg_learner *learner, const uint8_t events[TG_INPUTS], unsigned label);

/* The output that is largest now. */
unsigned tg_decision(const tg_learner *learner);

#endif
