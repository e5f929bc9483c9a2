/* Difference: the error is the output less its target, in the bits of a state. */

static inline int32_t tg_error(int32_t output, int32_t target) { return output - target; }
