/* ALIF: v = alpha v + gain I - threshold z, b = rho b + z; the rows are b and v. */

static inline void tg_advance(const tg_state before[TG_ROWS], int spike, int64_t current,
                              tg_state after[TG_ROWS]) {
    const int64_t b = TG_RHO * (int64_t)before[0] + (spike ? TG_ONE_SPIKE : INT64_C(0));
    const int64_t v = TG_ALPHA * (int64_t)before[1] * tg_power(TG_V_FROM_V) +
                      TG_GAIN * current * tg_power(TG_V_FROM_CURRENT) -
                      (spike ? TG_RESET : INT64_C(0));
    after[0] = (tg_state)tg_hold(b, TG_B_SHIFT, TG_STATE, 0, 0u);
    after[1] = (tg_state)tg_hold(v, TG_V_SHIFT, TG_STATE, 0, 0u);
}

/* Distance to threshold, with TG_DISTANCE_FRACTION bits behind the point. */
static inline int64_t tg_distance(const tg_state rows[TG_ROWS]) {
    return ((int64_t)rows[1] - TG_THRESHOLD) * tg_power(TG_STATE_FRACTION) -
           TG_ADAPTATION * (int64_t)rows[0];
}

/* What the slope makes of each row, with TG_EMIT_FRACTION bits behind the point. */
static inline tg_emission tg_emit(int64_t slope) {
    const tg_emission emission = {
        {-TG_ADAPTATION * slope, slope * tg_power(TG_STATE_FRACTION)}};
    return emission;
}
