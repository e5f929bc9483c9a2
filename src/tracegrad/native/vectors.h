/* Vectors of a register's width: matrices turned, lines of weights added, memory asked for. */
#ifndef TRACEGRAD_VECTORS_H
#define TRACEGRAD_VECTORS_H

#if defined(__AVX__)
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

/* What one register holds: GCC keeps a wider vector in memory. */
#if defined(__AVX512F__)
enum { REGISTER = 64 };
#elif defined(__AVX__)
enum { REGISTER = 32 };
#else
enum { REGISTER = 16 };
#endif
enum { LANES = REGISTER / sizeof(REAL) };
typedef REAL Vector __attribute__((vector_size(REGISTER), aligned(sizeof(REAL)), may_alias));

/* Memory that is read, or written, soon. */
static void ask_for(const REAL *from, int64_t n, const int written) {
  for (int64_t j = 0; j < n; j += 64 / (int64_t)sizeof(REAL)) {
    if (written) __builtin_prefetch(from + j, 1);
    else __builtin_prefetch(from + j);
  }
}

/* Lines of a turned matrix are so long that whole vectors fill them. */
enum { SIDE = 16 };
static int64_t padded(int64_t n) { return (n + SIDE - 1) / SIDE * SIDE; }

#if defined(__AVX512F__)
/* Pairs of lines, `half` apart, give each other the half of their columns that the other lacks. */
static inline __attribute__((always_inline)) void swap_halves(__m512 *restrict line,
                                                              const int half) {
  const __m512i own = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __mmask16 high = _mm512_test_epi32_mask(own, _mm512_set1_epi32(half));
  const __m512i next = _mm512_add_epi32(own, _mm512_set1_epi32(half));
  const __m512i low = _mm512_mask_add_epi32(own, high, own, _mm512_set1_epi32(SIDE - half));
  const __m512i up = _mm512_mask_add_epi32(next, high, own, _mm512_set1_epi32(SIDE));
  for (int k = 0; k < SIDE; k++) {
    if (k & half) continue;
    const __m512 a = line[k], b = line[k + half];
    line[k] = _mm512_permutex2var_ps(a, low, b);
    line[k + half] = _mm512_permutex2var_ps(a, up, b);
  }
}
#endif
/* A tile turned in place. */
static void turn(REAL tile[SIDE][SIDE]) {
#if defined(__AVX512F__)
  if (sizeof(REAL) == 4) {
    __m512 line[SIDE];
    for (int k = 0; k < SIDE; k++) line[k] = _mm512_loadu_ps((const float *)tile[k]);
    swap_halves(line, 8);
    swap_halves(line, 4);
    swap_halves(line, 2);
    swap_halves(line, 1);
    for (int k = 0; k < SIDE; k++) _mm512_storeu_ps((float *)tile[k], line[k]);
    return;
  }
#endif
  for (int r = 0; r < SIDE; r++)
    for (int k = 0; k < r; k++) {
      const REAL held = tile[r][k];
      tile[r][k] = tile[k][r];
      tile[k][r] = held;
    }
}

/* to[j][i] = from[i][j] for i < rows, j < columns; the lines of each lie that far apart. What is
   needed next lies on as many pages as a tile has lines, so it is asked for ahead. */
static void transpose(const REAL *restrict from, int64_t from_apart, int64_t rows, int64_t columns,
                      REAL *restrict to, int64_t to_apart) {
  for (int64_t i = 0; i < rows; i += SIDE)
    for (int64_t j = 0; j < columns; j += SIDE) {
      const int64_t high = rows - i < SIDE ? rows - i : SIDE;
      const int64_t wide = columns - j < SIDE ? columns - j : SIDE;
      REAL tile[SIDE][SIDE] = {{0}};
      for (int64_t r = 0; r < high; r++) {
        __builtin_prefetch(from + (i + r) * from_apart + j + 4 * SIDE);
        memcpy(tile[r], from + (i + r) * from_apart + j, sizeof(REAL) * (size_t)wide);
      }
      for (int64_t k = 0; k < wide; k++)
        __builtin_prefetch(to + (j + k + 2 * SIDE) * to_apart + i, 1);
      turn(tile);
      for (int64_t k = 0; k < wide; k++)
        memcpy(to + (j + k) * to_apart + i, tile[k], sizeof(REAL) * (size_t)high);
    }
}

/* out[0..n) += sum over events of value * weight[line][0..n), summed in registers: so many vectors
   at a time as half of them hold, then what is left; four events first to each other, as a long
   chain of sums rounds more. Lines of weights and `out` are padded. */
enum { TILE = REGISTER == 64 ? 16 : 8 };
static inline __attribute__((always_inline)) int64_t gather_some(
    const int vectors, int64_t j, REAL *restrict out, const REAL *restrict weight, int64_t apart,
    const int32_t *restrict line, const REAL *restrict value, int64_t events) {
  for (; j + vectors * LANES <= apart; j += vectors * LANES) {
    Vector *to = (Vector *)(out + j), sum[TILE];
    for (int v = 0; v < vectors; v++) sum[v] = to[v];
    int64_t e = 0;
    for (; e + 4 <= events; e += 4) {
      const Vector *from[4];
      for (int k = 0; k < 4; k++) from[k] = (const Vector *)(weight + line[e + k] * apart + j);
      for (int v = 0; v < vectors; v++)
        sum[v] += value[e] * from[0][v] + value[e + 1] * from[1][v] +
                  (value[e + 2] * from[2][v] + value[e + 3] * from[3][v]);
    }
    for (; e < events; e++) {
      const Vector *from = (const Vector *)(weight + line[e] * apart + j);
      for (int v = 0; v < vectors; v++) sum[v] += value[e] * from[v];
    }
    for (int v = 0; v < vectors; v++) to[v] = sum[v];
  }
  return j;
}
static void gather(REAL *restrict out, const REAL *restrict weight, int64_t n,
                   const int32_t *restrict line, const REAL *restrict value, int64_t events) {
  const int64_t apart = padded(n);
  int64_t j = gather_some(TILE, 0, out, weight, apart, line, value, events);
  j = gather_some(8, j, out, weight, apart, line, value, events);
  j = gather_some(4, j, out, weight, apart, line, value, events);
  j = gather_some(2, j, out, weight, apart, line, value, events);
  gather_some(1, j, out, weight, apart, line, value, events);
}

#endif
