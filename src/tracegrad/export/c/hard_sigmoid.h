/* Hard sigmoid: the error is the target, 0 or 2048, less half of what an output is above -2048. */

static inline int32_t tg_error(int32_t output, int32_t target) {
    const int32_t shifted = output * ((int32_t)1 << TG_OUTPUT_SHIFT);
    const int32_t above = shifted < -2048 ? 0 : shifted > 2048 ? 4096 : shifted + 2048;
    return target * ((int32_t)1 << (11 - TG_STATE_FRACTION)) - above / 2;
}
