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

/* The row read next lies `ahead` further on, far away in memory, so it is asked for now. */
static void mark_row(Input row, int64_t m, int64_t ahead, Mark *restrict mark) {
  const int64_t whole = m - m % 16;
  unsigned graded = 0, rest = 0;
  for (int64_t i = 0; row.byte && i < whole; i += 16) {
    if (i % 64 == 0) __builtin_prefetch(row.byte + i + ahead);
    const unsigned set = bytes_differ(row.byte + i, 0);
    graded |= set & bytes_differ(row.byte + i, 1);
    mark[i / 16] = (Mark)set;
  }
  for (int64_t i = 0; row.real && i < whole; i += 16) {
    __builtin_prefetch(row.real + i + ahead);
    const unsigned set = reals_differ(row.real + i, 0);
    if (set) graded |= set & reals_differ(row.real + i, 1);
    mark[i / 16] = (Mark)set;
  }
  for (int64_t k = 0; whole + k < m; k++) {
    const REAL value = row.byte ? (REAL)row.byte[whole + k] : row.real[whole + k];
    rest |= (unsigned)(value != 0) << k;
    graded |= value != 0 && value != 1;
  }
  if (whole < m) mark[whole / 16] = (Mark)rest;
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
  int64_t found = 0;
#if defined(__AVX512F__)
  __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int64_t w = 0; w < words(m); w++) {
    _mm512_storeu_si512(line + found, _mm512_maskz_compress_epi32(mark[w], place));
    found += __builtin_popcount(mark[w]);
    place = _mm512_add_epi32(place, _mm512_set1_epi32(16));
  }
#else
  enum { FEW = 4 };
  for (int64_t w = 0; w < words(m); w += 4) {
    uint64_t mask = four(mark, w, words(m));
    const int64_t count = __builtin_popcountll(mask);
    for (int64_t e = 0; e < FEW || e < count; e++) {
      line[found + e] = (int32_t)(16 * w + __builtin_ctzll(mask | 1ull << 63));
      mask &= mask - 1;
    }
    found += count;
  }
#endif
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

/* to[j][i] = from[i][j] for i < rows, j < columns; the lines of each lie that far apart. */
static void transpose(const REAL *restrict from, int64_t from_apart, int64_t rows, int64_t columns,
                      REAL *restrict to, int64_t to_apart) {
  enum { SIDE = 16 };
  for (int64_t i = 0; i < rows; i += SIDE)
    for (int64_t j = 0; j < columns; j += SIDE) {
      const int64_t high = rows - i < SIDE ? rows - i : SIDE;
      const int64_t wide = columns - j < SIDE ? columns - j : SIDE;
      REAL tile[SIDE][SIDE];
      for (int64_t r = 0; r < high; r++)
        memcpy(tile[r], from + (i + r) * from_apart + j, sizeof(REAL) * (size_t)wide);
      for (int64_t k = 0; k < wide; k++)
        for (int64_t r = 0; r < high; r++) to[(j + k) * to_apart + i + r] = tile[r][k];
    }
}

/* out[0..n) += sum over events of value * weight[line][0..n). */
static void gather(REAL *restrict out, const REAL *restrict weight, int64_t n,
                   const int32_t *restrict line, const REAL *restrict value, int64_t events) {
  int64_t e = 0;
  for (; e + 4 <= events; e += 4) {
    const REAL *restrict a = weight + line[e] * n, *restrict b = weight + line[e + 1] * n;
    const REAL *restrict c = weight + line[e + 2] * n, *restrict d = weight + line[e + 3] * n;
    const REAL va = value[e], vb = value[e + 1], vc = value[e + 2], vd = value[e + 3];
    for (int64_t j = 0; j < n; j++) out[j] += va * a[j] + vb * b[j] + vc * c[j] + vd * d[j];
  }
  for (; e < events; e++) {
    const REAL *restrict a = weight + line[e] * n;
    const REAL va = value[e];
    for (int64_t j = 0; j < n; j++) out[j] += va * a[j];
  }
}

#endif
