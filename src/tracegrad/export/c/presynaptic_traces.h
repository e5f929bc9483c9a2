/* Traces of the presynaptic rule: one for each line. */

typedef struct {
    tg_trace input[TG_INPUTS];
#if TG_RECURRENT
    tg_trace recurrent[TG_NEURONS];
#endif
    tg_trace readout[TG_NEURONS];
} tg_traces;
