/* Buffers of a call from XLA, work shared among its threads, and lists of events. */
#ifndef TRACEGRAD_RUNTIME_H
#define TRACEGRAD_RUNTIME_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>
#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "xla/ffi/api/c_api.h"


static void *argument(XLA_FFI_CallFrame *frame, int64_t i) {
  return ((XLA_FFI_Buffer *)frame->args.args[i])->data;
}
static void *result(XLA_FFI_CallFrame *frame, int64_t i) {
  return ((XLA_FFI_Buffer *)frame->rets.rets[i])->data;
}
static const int64_t *dims(XLA_FFI_CallFrame *frame, int64_t i) {
  return ((XLA_FFI_Buffer *)frame->args.args[i])->dims;
}
static int64_t size_of(XLA_FFI_CallFrame *frame, int64_t i) {
  XLA_FFI_Buffer *buffer = frame->args.args[i];
  int64_t size = 1;
  for (int64_t d = 0; d < buffer->rank; d++) size *= buffer->dims[d];
  return size;
}

static XLA_FFI_Error *failed(XLA_FFI_CallFrame *frame, const char *message) {
  XLA_FFI_Error_Create_Args args = {
      .struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE,
      .message = message,
      .errc = XLA_FFI_Error_Code_RESOURCE_EXHAUSTED};
  return frame->api->XLA_FFI_Error_Create(&args);
}

/* What a frame carries besides has another name from version 0.4 of the interface on: JAX 0.11. */
#if XLA_FFI_API_MINOR >= 4
typedef XLA_FFI_InternalExtension Extension;
#else
typedef XLA_FFI_Extension_Base Extension;
#endif

/* XLA asks once for the version of the interface. */
static int asked_for_metadata(XLA_FFI_CallFrame *frame) {
  Extension *extension = frame->extension_start;
  if (!extension || extension->type != XLA_FFI_Extension_Metadata) return 0;
  XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  return 1;
}

/* Items 0..count-1, each done once by the caller or by a thread of XLA's pool. Whoever is free
   takes the next, so a busy pool delays nothing; a task that comes too late finds none left. The
   last to leave frees the job. */
typedef int (*Work)(void *shared, int64_t item);
typedef struct {
  Work work;
  void *shared;
  int64_t count;
  atomic_int_fast64_t next, done, holders;
  atomic_int wrong;
} Job;

static void labour(Job *job) {
  for (;;) {
    int64_t item = atomic_fetch_add(&job->next, 1);
    if (item >= job->count) return;
    if (!atomic_load(&job->wrong) && job->work(job->shared, item)) atomic_store(&job->wrong, 1);
    atomic_fetch_add(&job->done, 1);
  }
}
static void leave(Job *job) {
  if (atomic_fetch_sub(&job->holders, 1) == 1) free(job);
}
static void task(void *job) {
  labour(job);
  leave(job);
}

/* Nonzero if an item failed. */
static int parallel(XLA_FFI_CallFrame *frame, Work work, void *shared, int64_t count) {
  Job *job = malloc(sizeof(Job));
  if (!job) return 1;
  *job = (Job){.work = work, .shared = shared, .count = count};
  atomic_init(&job->holders, 1);
  int64_t threads = 1;
  XLA_FFI_ThreadPool_NumThreads_Args ask = {
      .struct_size = XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE,
      .ctx = frame->ctx,
      .num_threads = &threads};
  XLA_FFI_Error *error = frame->api->XLA_FFI_ThreadPool_NumThreads(&ask);
  if (error) {
    XLA_FFI_Error_Destroy_Args gone = {XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, NULL, error};
    frame->api->XLA_FFI_Error_Destroy(&gone);
    threads = 1;
  }
  for (int64_t i = 1; i < threads && i < count; i++) {
    atomic_fetch_add(&job->holders, 1);
    XLA_FFI_ThreadPool_Schedule_Args plan = {
        .struct_size = XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE,
        .ctx = frame->ctx,
        .task = task,
        .data = job};
    error = frame->api->XLA_FFI_ThreadPool_Schedule(&plan);
    if (error) {
      XLA_FFI_Error_Destroy_Args gone = {XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, NULL, error};
      frame->api->XLA_FFI_Error_Destroy(&gone);
      leave(job);
      break;
    }
  }
  labour(job);
  while (atomic_load(&job->done) < count) sched_yield();
  int wrong = atomic_load(&job->wrong);
  leave(job);
  return wrong;
}

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
    const REAL value = row.byte ? (REAL)row.byte[k] : row.real[k];
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

static int64_t events_in(const Mark *restrict mark, int64_t m) {
  int64_t count = 0;
  for (int64_t w = 0; w < words(m); w += 4) count += __builtin_popcountll(four(mark, w, words(m)));
  return count;
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

/* Lines of a turned matrix are so long that whole vectors fill them. */
enum { SIDE = 16 };
static int64_t padded(int64_t n) { return (n + SIDE - 1) / SIDE * SIDE; }

/* A tile turned in place. */
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

/* Memory that is read, or written, soon. */
static void ask_for(const REAL *from, int64_t n, const int written) {
  for (int64_t j = 0; j < n; j += 64 / (int64_t)sizeof(REAL)) {
    if (written) __builtin_prefetch(from + j, 1);
    else __builtin_prefetch(from + j);
  }
}

#endif
