/* Traces of the presynaptic rule: one for each line. */
typedef struct {
    tg_real input[TG_INPUTS];
#if TG_RECURRENT
    tg_real recurrent[TG_NEURONS];
#endif
    tg_real readout[TG_NEURONS];
} tg_traces;
