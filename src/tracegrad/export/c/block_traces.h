/* Traces of the block rule: one for each synapse and row. */

typedef struct {
    tg_trace input[TG_ROWS][TG_NEURONS][TG_INPUTS];
#if TG_RECURRENT
    tg_trace recurrent[TG_ROWS][TG_NEURONS][TG_NEURONS];
#endif
    tg_trace readout[TG_OUTPUTS][TG_NEURONS];
#if TG_FILTERED
    tg_trace input_filtered[TG_NEURONS][TG_INPUTS];
#if TG_RECURRENT
    tg_trace recurrent_filtered[TG_NEURONS][TG_NEURONS];
#endif
#endif
} tg_traces;
