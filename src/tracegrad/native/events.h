/* Events: what of an input is not zero, as marks of a bit each and as lists of places and values. */
#ifndef TRACEGRAD_EVENTS_H
#define TRACEGRAD_EVENTS_H

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "runtime.h"

/* Input as it was given: real numbers, or a byte each. */
typedef struct {
  const REAL *real;
  const uint8_t *byte;
} Input;

static Input input(XLA_FFI_CallFrame *frame, int64_t i) {
  const XLA_FFI_DataType type = ((XLA_FFI_Buffer *)frame->args.args[i])->dtype;
  if (type == XLA_FFI_DataType_PRED || type == XLA_FFI_DataType_U8)
    return (Input){NULL, argument(frame, i)};
  return (Input){argument(frame, i), NULL};
}
static Input input_at(Input xs, int64_t place) {
  return xs.byte ? (Input){NULL, xs.byte + place} : (Input){xs.real + place, NULL};
}
static REAL value_at(Input row, int64_t k) { return row.byte ? (REAL)row.byte[k] : row.real[k]; }

/* Bit k is set where row[k] is another value, for k < 16. */
static unsigned bytes_differ(const uint8_t *restrict row, uint8_t value) {
#if defined(__SSE2__)
  const __m128i here = _mm_loadu_si128((const void *)row);
  return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(here, _mm_set1_epi8((char)value))) ^ 0xffff;
#else
  unsigned mask = 0;
  for (int k = 0; k < 16; k++) mask |= (unsigned)(row[k] != value) << k;
  return mask;
#endif
}
static unsigned reals_differ(const REAL *restrict row, REAL value) {
#if defined(__AVX512F__)
  if (sizeof(REAL) == 4)
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(row), _mm512_set1_ps((float)value), _CMP_NEQ_UQ);
  const __m512d one = _mm512_set1_pd((double)value);
  const double *r = (const double *)row;
  return (unsigned)_mm512_cmp_pd_mask(_mm512_loadu_pd(r), one, _CMP_NEQ_UQ) |
         (unsigned)_mm512_cmp_pd_mask(_mm512_loadu_pd(r + 8), one, _CMP_NEQ_UQ) << 8;
#elif defined(__AVX__)
  unsigned mask = 0;
  if (sizeof(REAL) == 4)
    for (int k = 0; k < 2; k++) {
      const __m256 here = _mm256_loadu_ps((const float *)row + 8 * k);
      const __m256 set = _mm256_cmp_ps(here, _mm256_set1_ps((float)value), _CMP_NEQ_UQ);
      mask |= (unsigned)_mm256_movemask_ps(set) << 8 * k;
    }
  else
    for (int k = 0; k < 4; k++) {
      const __m256d here = _mm256_loadu_pd((const double *)row + 4 * k);
      const __m256d set = _mm256_cmp_pd(here, _mm256_set1_pd((double)value), _CMP_NEQ_UQ);
      mask |= (unsigned)_mm256_movemask_pd(set) << 4 * k;
    }
  return mask;
#else
  int any = 0;
  for (int k = 0; k < 16; k++) any |= row[k] != value;
  if (!any) return 0;
  unsigned mask = 0;
  for (int k = 0; k < 16; k++) mask |= (unsigned)(row[k] != value) << k;
  return mask;
#endif
}

/* A bit for each entry of a row, set where it is not zero: 16 a word. One word more says whether
   any of them is another value than 1: of spikes the values need not be read again. */
typedef uint16_t Mark;
static int64_t words(int64_t m) { return (m + 15) / 16; }
static int64_t marks(int64_t m) { return words(m) + 1; }

/* The last places of a row, which fill no word: their bits, and whether one is another value. */
static unsigned mark_rest(Input row, int64_t rest, unsigned *restrict graded) {
  unsigned set = 0;
#if defined(__AVX512F__)
  if (row.real && sizeof(REAL) == 4) {
    const __m512 here = _mm512_maskz_loadu_ps((__mmask16)((1u << rest) - 1), row.real);
    set = _mm512_cmp_ps_mask(here, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    *graded |= set & _mm512_cmp_ps_mask(here, _mm512_set1_ps(1), _CMP_NEQ_UQ);
    return set;
  }
#endif
  for (int64_t k = 0; k < rest; k++) {
    const REAL value = value_at(row, k);
    set |= (unsigned)(value != 0) << k;
    *graded |= value != 0 && value != 1;
  }
  return set;
}

/* Rows follow on each other in memory: what is read FAR bytes later is asked for now. No branch
   asks whether a word is empty: at some percent of events nothing foretells it. */
enum { FAR = 4096 };
static void mark_row(Input row, int64_t m, Mark *restrict mark) {
  const int64_t whole = m - m % 16;
  unsigned graded = 0;
  for (int64_t i = 0; row.byte && i < whole; i += 16) {
    if (i % 64 == 0) __builtin_prefetch(row.byte + i + FAR);
    const unsigned set = bytes_differ(row.byte + i, 0);
    graded |= set & bytes_differ(row.byte + i, 1);
    mark[i / 16] = (Mark)set;
  }
  for (int64_t i = 0; row.real && i < whole; i += 16) {
    __builtin_prefetch((const char *)(row.real + i) + FAR);
    const unsigned set = reals_differ(row.real + i, 0);
    graded |= set & reals_differ(row.real + i, 1);
    mark[i / 16] = (Mark)set;
  }
  if (whole < m) mark[whole / 16] = (Mark)mark_rest(input_at(row, whole), m - whole, &graded);
  mark[words(m)] = graded != 0;
}

/* Four words from w on as one, or those that there are. */
static uint64_t four(const Mark *restrict mark, int64_t w, int64_t wide) {
  if (w + 4 <= wide)
    return mark[w] | (uint64_t)mark[w + 1] << 16 | (uint64_t)mark[w + 2] << 32 |
           (uint64_t)mark[w + 3] << 48;
  uint64_t mask = 0;
  for (int64_t k = w; k < wide; k++) mask |= (uint64_t)mark[k] << 16 * (k - w);
  return mask;
}

/* The places that are marked; returns how many. `line` has room for SLACK more: where there are
   few, a branch for each costs more than writing a whole vector. */
enum { SLACK = 16 };
static int64_t expand(const Mark *restrict mark, int64_t m, int32_t *restrict line) {
  enum { FEW = 4 };
  int64_t found = 0;
  for (int64_t w = 0; w < words(m); w += 4) {
    uint64_t mask = four(mark, w, words(m));
    const int64_t count = __builtin_popcountll(mask);
    for (int64_t e = 0; e < FEW || e < count; e++) {
      line[found + e] = (int32_t)(16 * w + __builtin_ctzll(mask | 1ull << 63));
      mask &= mask - 1;
    }
    found += count;
  }
  return found;
}

/* The same, and the values there. */
static int64_t events_of(Input row, const Mark *restrict mark, int64_t m,
                         int32_t *restrict line, REAL *restrict value) {
  const int64_t found = expand(mark, m, line);
  if (!mark[words(m)])
    for (int64_t e = 0; e < found; e++) value[e] = 1;
  else if (row.byte)
    for (int64_t e = 0; e < found; e++) value[e] = (REAL)row.byte[line[e]];
  else
    for (int64_t e = 0; e < found; e++) value[e] = row.real[line[e]];
  return found;
}

#endif
