/* A layer through a block of steps, backward, and its gradient. Every neuron goes back alone, so
   neurons are shared among threads in columns of WIDTH; within a column and a group of samples the
   gradient of a line's weights is summed in registers over the events of that line. The file that
   includes this defines, beside what forward.h asks for,

     ASKED, TAPS, WIDTH, OWN_WEIGHT
     READ_BEFORE[k], READ_AFTER[k], READ_CURRENT[p]  what neuron_back reads
     GRADIENT_C                      whether coefficients have a gradient
     neuron_back                     one step back for some neurons

   In: xs (T,B,m), valid (T,B) or nothing, outputs (T,B,n), output before (B,n), asked (T,B,n),
   kept states and currents (T,B,n), states before (B,n) that are read, coefficients (n),
   self-weights (n), taps (2 TAPS), cotangents of states, output and taps after the block (A,B,n).
   Out: gradients of weights (m,n), recurrent weights (n,n), biases (n), coefficients (n), and the
   cotangents before the block (A,B,n). */
#include "runtime.h"

enum { LANES = 64 / sizeof(REAL), VECTORS = WIDTH / LANES, CARRIED = STATES + TAPS + 1 };
typedef REAL Vector __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));

/* Events by line: where each occurred (a row of the group) and its value. */
typedef struct {
  int64_t *start;
  int32_t *place;
  REAL *value;
} Lists;

typedef struct {
  int64_t T, B, m, n, samples, groups;
  const REAL *xs, *z, *z0, *asked[ASKED + 1], *s[STATES + 1], *i[PORTS], *s0[STATES + 1];
  const REAL *c[COEFFICIENTS + 1], *own[PORTS], *taps, *later;
  const uint8_t *valid;
  REAL *d_weight[PORTS], *d_recurrent[PORTS], *d_bias[PORTS], *d_c[COEFFICIENTS + 1], *earlier;
  Lists *below, *itself;
} Backward;

typedef struct {
  int64_t size, room;
  int32_t *line, *place;
  REAL *value;
} Found;

static int make_room(Found *found, int64_t more) {
  if (found->size + more <= found->room) return 0;
  found->room = 2 * found->room + more;
  int32_t *line = realloc(found->line, sizeof(int32_t) * (size_t)found->room);
  if (line) found->line = line;
  int32_t *place = realloc(found->place, sizeof(int32_t) * (size_t)found->room);
  if (place) found->place = place;
  REAL *value = realloc(found->value, sizeof(REAL) * (size_t)found->room);
  if (value) found->value = value;
  return !line || !place || !value;
}

/* Rows of one group, read one after the other, sorted by line. */
static int sort_events(Lists *lists, const Backward *f, int64_t group, int64_t lines, int own) {
  const int64_t first = group * f->samples;
  const int64_t last = first + f->samples < f->B ? first + f->samples : f->B;
  Found found = {0};
  int64_t *start = calloc((size_t)lines + 2, sizeof(int64_t));
  int wrong = !start;
  for (int64_t b = first; b < last && !wrong; b++)
    for (int64_t t = 0; t < f->T && !wrong; t++) {
      const int64_t row = t * f->B + b;
      if (f->valid && !f->valid[row]) continue;
      const REAL *from = !own  ? f->xs + row * lines
                         : !t  ? f->z0 + b * lines
                               : f->z + (row - f->B) * lines;
      if ((wrong = make_room(&found, lines))) break;
      const int64_t ahead = t + 1 < f->T ? f->B * lines : 0;
      const int64_t here =
          events_of(from, lines, own && !t ? 0 : ahead, found.line + found.size,
                    found.value + found.size);
      for (int64_t e = 0; e < here; e++) {
        found.place[found.size + e] = (int32_t)((b - first) * f->T + t);
        start[found.line[found.size + e] + 2]++;
      }
      found.size += here;
    }
  lists->place = malloc(sizeof(int32_t) * (size_t)(found.size + 1));
  lists->value = malloc(sizeof(REAL) * (size_t)(found.size + 1));
  wrong = wrong || !lists->place || !lists->value;
  if (!wrong) {
    for (int64_t line = 0; line < lines; line++) start[line + 2] += start[line + 1];
    for (int64_t e = 0; e < found.size; e++) {
      const int64_t to = start[found.line[e] + 1]++;
      lists->place[to] = found.place[e];
      lists->value[to] = found.value[e];
    }
  }
  lists->start = start;
  free(found.line);
  free(found.place);
  free(found.value);
  return wrong;
}

static int sort_group(void *shared, int64_t group) {
  const Backward *f = shared;
  int wrong = sort_events(f->below + group, f, group, f->m, 0);
  if (RECURRENT) wrong |= sort_events(f->itself + group, f, group, f->n, 1);
  return wrong;
}

/* out[line][0..w) += sum over the line's events of value * d[place]. */
static void accumulate(REAL *out, int64_t n, int64_t w, const REAL *d, const Lists *lists,
                       int64_t lines) {
  for (int64_t line = 0; line < lines; line++) {
    const int64_t end = lists->start[line + 1];
    int64_t e = lists->start[line];
    if (e == end) continue;
    Vector sum[VECTORS] = {0};
    for (; e < end; e++) {
      const REAL *from = d + (int64_t)lists->place[e] * WIDTH;
      const REAL value = lists->value[e];
      for (int v = 0; v < VECTORS; v++) sum[v] += value * ((const Vector *)from)[v];
    }
    REAL flat[WIDTH], *to = out + line * n;
    memcpy(flat, sum, sizeof flat);
    for (int64_t j = 0; j < w; j++) to[j] += flat[j];
  }
}

/* One column of neurons of one sample, from the last step to the first. */
static void go_back(const Backward *f, int64_t b, int64_t j, int64_t w, REAL *adjoint,
                    REAL *const *d, int64_t place) {
  REAL *a[CARRIED], *d_i[PORTS], *d_c[COEFFICIENTS + 1];
  const REAL *asked[ASKED + 1], *before[STATES + 1], *after[STATES + 1], *i[PORTS];
  const REAL *c[COEFFICIENTS + 1], *own[PORTS];
  const size_t bytes = sizeof(REAL) * (size_t)w;
  for (int k = 0; k < CARRIED; k++) {
    a[k] = adjoint + k * WIDTH;
    memcpy(a[k], f->later + (k * f->B + b) * f->n + j, bytes);
  }
  for (int k = 0; k < COEFFICIENTS; k++) c[k] = f->c[k] + j;
  for (int k = 0; k < COEFFICIENTS; k++) d_c[k] = f->d_c[k] ? f->d_c[k] + j : NULL;
  for (int p = 0; p < PORTS; p++) own[p] = f->own[p] ? f->own[p] + j : NULL;
  for (int64_t t = f->T - 1; t >= 0; t--) {
    const int64_t row = t * f->B + b, at = row * f->n + j;
    for (int p = 0; p < PORTS; p++) d_i[p] = d[p] + (place + t) * WIDTH;
    if (f->valid && !f->valid[row]) {
      for (int p = 0; p < PORTS; p++) memset(d_i[p], 0, sizeof(REAL) * WIDTH);
      continue;
    }
    for (int k = 0; k < ASKED; k++) asked[k] = f->asked[k] + at;
    for (int k = 0; k < STATES; k++) {
      after[k] = READ_AFTER[k] ? f->s[k] + at : NULL;
      before[k] = !READ_BEFORE[k] ? NULL
                  : t             ? f->s[k] + at - f->B * f->n
                                  : f->s0[k] + b * f->n + j;
    }
    const REAL *z = t ? f->z + at - f->B * f->n : f->z0 + b * f->n + j;
    for (int p = 0; p < PORTS; p++) i[p] = READ_CURRENT[p] ? f->i[p] + at : NULL;
    neuron_back(w, a, asked, before, z, after, i, c, own, f->taps, d_c, d_i);
  }
  for (int k = 0; k < CARRIED; k++)
    memcpy(f->earlier + (k * f->B + b) * f->n + j, a[k], bytes);
}

static int backward_column(void *shared, int64_t column) {
  const Backward *f = shared;
  const int64_t j = column * WIDTH, w = f->n - j < WIDTH ? f->n - j : WIDTH;
  const int64_t rows = f->samples * f->T;
  REAL *memory =
      calloc((size_t)(WIDTH * (rows * PORTS + CARRIED)), sizeof(REAL));
  if (!memory) return 1;
  REAL *d[PORTS], *adjoint = memory + WIDTH * rows * PORTS;
  for (int p = 0; p < PORTS; p++) d[p] = memory + WIDTH * rows * p;
  for (int64_t group = 0; group < f->groups; group++) {
    const int64_t first = group * f->samples;
    const int64_t last = first + f->samples < f->B ? first + f->samples : f->B;
    for (int64_t b = first; b < last; b++) go_back(f, b, j, w, adjoint, d, (b - first) * f->T);
    for (int p = 0; p < PORTS; p++) {
      if (FROM_BELOW[p]) accumulate(f->d_weight[p] + j, f->n, w, d[p], f->below + group, f->m);
      if (FROM_ITSELF[p])
        accumulate(f->d_recurrent[p] + j, f->n, w, d[p], f->itself + group, f->n);
      if (!f->d_bias[p]) continue;
      for (int64_t r = 0; r < (last - first) * f->T; r++)
        for (int64_t k = 0; k < w; k++) f->d_bias[p][j + k] += d[p][r * WIDTH + k];
    }
  }
  free(memory);
  return 0;
}

static void clear(XLA_FFI_CallFrame *frame) {
  for (int64_t r = 0; r < frame->rets.size; r++) {
    XLA_FFI_Buffer *buffer = frame->rets.rets[r];
    int64_t size = 1;
    for (int64_t d = 0; d < buffer->rank; d++) size *= buffer->dims[d];
    memset(buffer->data, 0, sizeof(REAL) * (size_t)size);
  }
}

static void let_go(Lists *lists, int64_t groups) {
  for (int64_t g = 0; lists && g < groups; g++) {
    free(lists[g].start);
    free(lists[g].place);
    free(lists[g].value);
  }
  free(lists);
}

XLA_FFI_Error *backward(XLA_FFI_CallFrame *frame) {
  if (asked_for_metadata(frame)) return NULL;
  Backward f = {.T = dims(frame, 0)[0], .B = dims(frame, 0)[1], .m = dims(frame, 0)[2]};
  int a = 0, r = 0;
  f.xs = argument(frame, a++);
  f.valid = size_of(frame, a) ? argument(frame, a) : NULL;
  a++;
  f.n = dims(frame, a)[2];
  f.z = argument(frame, a++);
  f.z0 = argument(frame, a++);
  for (int k = 0; k < ASKED; k++) f.asked[k] = argument(frame, a++);
  for (int k = 0; k < STATES; k++)
    if (READ_AFTER[k] || READ_BEFORE[k]) f.s[k] = argument(frame, a++);
  for (int p = 0; p < PORTS; p++)
    if (READ_CURRENT[p]) f.i[p] = argument(frame, a++);
  for (int k = 0; k < STATES; k++)
    if (READ_BEFORE[k]) f.s0[k] = argument(frame, a++);
  for (int k = 0; k < COEFFICIENTS; k++) f.c[k] = argument(frame, a++);
  for (int p = 0; p < PORTS; p++)
    if (OWN_WEIGHT && FROM_ITSELF[p]) f.own[p] = argument(frame, a++);
  f.taps = argument(frame, a++);
  f.later = argument(frame, a++);
  for (int p = 0; p < PORTS; p++)
    if (FROM_BELOW[p]) f.d_weight[p] = result(frame, r++);
  for (int p = 0; p < PORTS; p++)
    if (FROM_ITSELF[p]) f.d_recurrent[p] = result(frame, r++);
  for (int p = 0; p < PORTS; p++)
    if (BIAS && FROM_BELOW[p]) f.d_bias[p] = result(frame, r++);
  for (int k = 0; k < COEFFICIENTS; k++)
    if (GRADIENT_C) f.d_c[k] = result(frame, r++);
  f.earlier = result(frame, r++);
  clear(frame);
  /* A group's cotangents of currents should stay in the second cache; threads want some groups. */
  const int64_t cache = 524288 / (int64_t)sizeof(REAL) / (WIDTH * PORTS * (f.T ? f.T : 1));
  const int64_t share = (f.B + 3) / 4;
  f.samples = cache < share ? cache : share;
  if (f.samples < 1) f.samples = 1;
  f.groups = (f.B + f.samples - 1) / f.samples;
  f.below = calloc((size_t)f.groups + 1, sizeof(Lists));
  f.itself = calloc((size_t)f.groups + 1, sizeof(Lists));
  int wrong = !f.below || !f.itself || parallel(frame, sort_group, &f, f.groups);
  wrong = wrong || parallel(frame, backward_column, &f, (f.n + WIDTH - 1) / WIDTH);
  let_go(f.below, f.groups);
  let_go(f.itself, f.groups);
  return wrong ? failed(frame, "events: out of memory") : NULL;
}
