/* CubaLIF: i = alpha i + I, v = beta v + gain i - threshold z; the rows are i and v. */

static inline void tg_advance(const tg_state before[TG_ROWS], int spike, int64_t current,
                              tg_state after[TG_ROWS]) {
    const int64_t i = TG_ALPHA * (int64_t)before[0] * tg_power(TG_I_FROM_I) +
                      current * tg_power(TG_I_FROM_CURRENT);
    const int64_t seen = TG_OLD_CURRENT ? (int64_t)before[0] * tg_power(TG_I_SHIFT) : i;
    const int64_t v = TG_BETA * (int64_t)before[1] * tg_power(TG_V_FROM_V) +
                      TG_GAIN * seen * tg_power(TG_V_FROM_I) - (spike ? TG_RESET : INT64_C(0));
    after[0] = (tg_state)tg_hold(i, TG_I_SHIFT, TG_STATE, 0, 0u);
    after[1] = (tg_state)tg_hold(v, TG_V_SHIFT, TG_STATE, 0, 0u);
}

/* Distance to threshold, with TG_DISTANCE_FRACTION bits behind the point. */
static inline int64_t tg_distance(const tg_state rows[TG_ROWS]) {
    return (int64_t)rows[1] - TG_THRESHOLD;
}

/* What the slope makes of each row, with TG_EMIT_FRACTION bits behind the point. */
static inline tg_emission tg_emit(int64_t slope) {
    const tg_emission emission = {{0, slope}};
    return emission;
}
