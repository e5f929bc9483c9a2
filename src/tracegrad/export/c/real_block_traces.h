/* A trace for each synapse and row, and the one that the signal meets if that is filtered. */
typedef struct {
    tg_real input[TG_NEURONS][TG_INPUTS][TG_ROWS];
    tg_real readout[TG_OUTPUTS][TG_NEURONS];
#if TG_RECURRENT
    tg_real recurrent[TG_NEURONS][TG_NEURONS][TG_ROWS];
#endif
#if TG_FILTERED
    tg_real input_filtered[TG_NEURONS][TG_INPUTS];
#if TG_RECURRENT
    tg_real recurrent_filtered[TG_NEURONS][TG_NEURONS];
#endif
#endif
} tg_traces;
