/* Whole numbers of a least significant bit: rounding, and what happens beyond the last one. */
#ifndef TG_FIXED_H
#define TG_FIXED_H

#include <stdint.h>

/* A counter-based generator (threefry2x32): a key, and how often it was used. */
typedef struct {
    uint32_t key[2];
    uint32_t used;
} tg_random;

/* The draws of one array at one step: the draw of an element is a function of its index. */
typedef struct {
    uint32_t key[2];
} tg_draws;

enum { TG_NEAREST, TG_FLOOR, TG_CHANCE, TG_CHANCE_SHARED };

/* How a quantity is held: from low to high, and what becomes of the rest. */
typedef struct {
    int rounding;
    int wraps;
    int64_t low;
    int64_t high;
} tg_format;

static inline uint32_t tg_turn(uint32_t x, unsigned by) { return (x << by) | (x >> (32u - by)); }

static inline void tg_rounds(uint32_t x[2], const unsigned by[4]) {
    for (unsigned round = 0; round < 4u; round++) {
        x[0] += x[1];
        x[1] = tg_turn(x[1], by[round]) ^ x[0];
    }
}

/* Threefry with 20 rounds. Source: Salmon, Moraes, Dror and Shaw 2011. */
static inline void tg_threefry(const uint32_t key[2], uint32_t x[2]) {
    static const unsigned even[4] = {13u, 15u, 26u, 6u};
    static const unsigned odd[4] = {17u, 29u, 16u, 24u};
    const uint32_t schedule[3] = {key[0], key[1], key[0] ^ key[1] ^ UINT32_C(0x1BD11BDA)};
    x[0] += schedule[0];
    x[1] += schedule[1];
    for (uint32_t block = 0; block < 5u; block++) {
        tg_rounds(x, block % 2u ? odd : even);
        x[0] += schedule[(block + 1u) % 3u];
        x[1] += schedule[(block + 2u) % 3u] + block + 1u;
    }
}

/* The draws after `later` more uses; the generator itself stays. */
static inline tg_draws tg_draws_after(const tg_random *random, uint32_t later) {
    tg_draws draws = {{0u, random->used + later}};
    tg_threefry(random->key, draws.key);
    return draws;
}

/* A bijection that leaves no bit alone. Source: Wellons, hash-prospector. */
static inline uint32_t tg_mixed(uint32_t x) {
    x = (x ^ (x >> 16)) * UINT32_C(0x21F0AAAD);
    x = (x ^ (x >> 15)) * UINT32_C(0xD35A2D97);
    return x ^ (x >> 15);
}

/* 24 random bits for one element. */
static inline uint32_t tg_draw(const tg_draws *draws, uint32_t index) {
    return (tg_mixed(index ^ draws->key[0]) ^ draws->key[1]) >> 8;
}

static inline int64_t tg_power(int exponent) { return (int64_t)1 << exponent; }

/* Division by a power of two, rounded down. */
static inline int64_t tg_floor_shift(int64_t x, int shift) {
    return x < 0 ? ~(~x >> shift) : x >> shift;
}

/* A whole number of 2^-shift as one of 1; the draws are used where chance decides. */
static inline int64_t tg_round(int64_t x, int shift, int rounding, const tg_draws *draws,
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
static inline int64_t tg_hold(int64_t x, int shift, tg_format format, const tg_draws *draws,
                              uint32_t index) {
    return tg_fit(tg_round(x, shift, format.rounding, draws, index), format);
}

#endif
