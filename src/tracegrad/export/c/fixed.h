/* Whole numbers of a least significant bit: rounding, and what happens beyond the last one. */
#ifndef TG_FIXED_H
#define TG_FIXED_H

#include <stdint.h>

#include "draws.h"

enum { TG_NEAREST, TG_FLOOR, TG_CHANCE, TG_CHANCE_SHARED };

/* How a quantity is held: from low to high, and what becomes of the rest. */
typedef struct {
    int rounding;
    int wraps;
    int64_t low;
    int64_t high;
} tg_format;

static inline int64_t tg_power(int exponent) { return (int64_t)1 << exponent; }

/* Division by a power of two, rounded down. */
static inline int64_t tg_floor_shift(int64_t x, int shift) {
    return x < 0 ? ~(~x >> shift) : x >> shift;
}

/* A whole number of 2^-shift as one of 1; the draws are used where chance decides. */
static inline int64_t tg_round(int64_t x, int shift, int rounding, tg_draws *draws,
                               uint32_t index) {
    if (shift <= 0) {
        return x * tg_power(-shift);
    }
    const int64_t whole = tg_floor_shift(x, shift);
    const uint64_t rest = (uint64_t)x & ((UINT64_C(1) << shift) - 1u);
    if (rest == 0u || rounding == TG_FLOOR) {
        return whole;
    }
    if (rounding == TG_NEAREST) {
        const uint64_t half = UINT64_C(1) << (shift - 1);
        return whole + (rest > half || (rest == half && whole % 2 != 0));
    }
    const uint64_t draw = tg_draw(draws, rounding == TG_CHANCE ? index : 0u);
    return whole + (shift <= 24 ? draw < rest << (24 - shift) : draw << (shift - 24) < rest);
}

static inline int64_t tg_fit(int64_t k, tg_format format) {
    if (format.wraps) {
        const int64_t count = format.high - format.low + 1;
        const int64_t above = (k - format.low) % count;
        return above + (above < 0 ? count : 0) + format.low;
    }
    return k < format.low ? format.low : k > format.high ? format.high : k;
}

/* A number of `shift` more bits behind the point, rounded and made to fit. */
static inline int64_t tg_hold(int64_t x, int shift, tg_format format, tg_draws *draws,
                              uint32_t index) {
    return tg_fit(tg_round(x, shift, format.rounding, draws, index), format);
}

#endif
