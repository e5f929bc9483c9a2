/* Draws: the generators of random numbers, and the draws of one array at one step. */
#ifndef TG_DRAWS_H
#define TG_DRAWS_H

#include <stdint.h>

#include "model.h"

/* A linear-feedback shift register of `width` bits, none if 0: its taps, and for every draw of a
   step what the steps before it make of each bit of the register. */
typedef struct {
    unsigned width;
    uint32_t taps;
    const uint32_t *jumps;
} tg_lfsr;

/* A counter-based generator (threefry2x32): a key, and how often it was used; or a register, which
   is the key's first word. */
typedef struct {
    uint32_t key[2];
    uint32_t used;
#if TG_LFSR
    const tg_lfsr *lfsr;
#endif
} tg_random;

/* The draws of one array at one step. The draw of an element is a function of its index; a register
   goes from element to element, so they are asked for in the array's order. */
typedef struct {
    uint32_t key[2];
#if TG_LFSR
    const tg_lfsr *lfsr;
#endif
} tg_draws;

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

#if TG_LFSR
/* A register one step on: shifted left, and the taps' exclusive or as its lowest bit. */
static inline uint32_t tg_shifted(uint32_t x, const tg_lfsr *lfsr) {
    uint32_t fed = x & lfsr->taps;
    for (unsigned half = 16u; half > 0u; half /= 2u) {
        fed ^= fed >> half;
    }
    return ((x << 1) | (fed & 1u)) & (UINT32_MAX >> (32u - lfsr->width));
}

/* A register after all draws of a step before this one. */
static inline uint32_t tg_jumped(uint32_t x, const tg_lfsr *lfsr, uint32_t draw) {
    uint32_t after = 0;
    for (unsigned bit = 0; bit < lfsr->width; bit++) {
        after ^= (x >> bit) & 1u ? lfsr->jumps[draw * lfsr->width + bit] : 0u;
    }
    return after;
}
#endif

/* The draws after `later` more uses; the generator itself stays. */
static inline tg_draws tg_draws_after(const tg_random *random, uint32_t later) {
    tg_draws draws;
    draws.key[0] = 0u;
    draws.key[1] = random->used + later;
#if TG_LFSR
    draws.lfsr = random->lfsr;
    if (random->lfsr->width > 0u) {
        draws.key[0] = tg_jumped(random->key[0], random->lfsr, later);
        draws.key[1] = 0u;
        return draws;
    }
#endif
    tg_threefry(random->key, draws.key);
    return draws;
}

/* The generator after the `uses` of a step. */
static inline void tg_use(tg_random *random, uint32_t uses) {
#if TG_LFSR
    if (random->lfsr->width > 0u) {
        random->key[0] = tg_jumped(random->key[0], random->lfsr, uses);
    }
#endif
    random->used += uses;
}

/* A bijection that leaves no bit alone. Source: Wellons, hash-prospector. */
static inline uint32_t tg_mixed(uint32_t x) {
    x = (x ^ (x >> 16)) * UINT32_C(0x21F0AAAD);
    x = (x ^ (x >> 15)) * UINT32_C(0xD35A2D97);
    return x ^ (x >> 15);
}

#if TG_LFSR
/* The whole register at an element. */
static inline uint32_t tg_word(tg_draws *draws, uint32_t index) {
    for (; draws->key[1] <= index; draws->key[1]++) {
        draws->key[0] = tg_shifted(draws->key[0], draws->lfsr);
    }
    return draws->key[0];
}
#endif

/* 24 random bits for one element: of a register the upper ones, or all of a narrower one. */
static inline uint32_t tg_draw(tg_draws *draws, uint32_t index) {
#if TG_LFSR
    const unsigned width = draws->lfsr->width;
    if (width > 0u) {
        const uint32_t word = tg_word(draws, index);
        return width > 24u ? word >> (width - 24u) : word << (24u - width);
    }
#endif
    return (tg_mixed(index ^ draws->key[0]) ^ draws->key[1]) >> 8;
}

#endif
