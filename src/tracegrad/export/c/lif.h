/* LIF: v = alpha v + gain I - threshold z. */

static inline void tg_advance(const tg_state before[TG_ROWS], int spike, int64_t current,
                              tg_state after[TG_ROWS]) {
    const int64_t v = TG_ALPHA * (int64_t)before[0] * tg_power(TG_V_FROM_V) +
                      TG_GAIN * current * tg_power(TG_V_FROM_CURRENT) -
                      (spike ? TG_RESET : INT64_C(0));
    after[0] = (tg_state)tg_hold(v, TG_V_SHIFT, TG_STATE, 0, 0u);
}

/* Distance to threshold, with TG_DISTANCE_FRACTION bits behind the point. */
static inline int64_t tg_distance(const tg_state rows[TG_ROWS]) {
    return (int64_t)rows[0] - TG_THRESHOLD;
}

/* What the slope makes of each row, with TG_EMIT_FRACTION bits behind the point. */
static inline tg_emission tg_emit(int64_t slope) {
    const tg_emission emission = {{slope}};
    return emission;
}
