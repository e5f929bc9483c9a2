/* A layer through a block of steps, backward, and its gradient. Every neuron goes back alone, so
   neurons are shared among threads in columns of WIDTH; within a column and a group of samples the
   gradient of a line's weights is summed in registers over the events of that line. The file that
   includes this defines, beside what forward.h asks for,

     ASKED, TAPS, WIDTH, OWN_WEIGHT
     READ_BEFORE[k], READ_AFTER[k], READ_CURRENT[p], READ_OUTPUT  what neuron_back reads
     GRADIENT_C                      whether coefficients have a gradient
     neuron_back                     one step back for some neurons

   In: xs (T,B,m), real or bytes, their marks (T,B,marks), valid (T,B) or nothing, outputs (T,B,n),
   their marks (T,B,marks), output before (B,n), asked (T,B,n), kept states and currents (T,B,n),
   states before (B,n) that are read, coefficients (n), self-weights (n), taps (2 TAPS), cotangents
   of states, output and taps after the block (A,B,n). Out: gradients of weights (n,m), recurrent
   weights (n,n), biases (n), coefficients (n), and the cotangents before the block (A,B,n). */
#include "events.h"
#include "runtime.h"
#include "vectors.h"

enum { VECTORS = WIDTH / LANES, CARRIED = STATES + TAPS + 1 };

/* Events by line: where each occurred (a row of the group) and its value. */
typedef struct {
  REAL value;
  int32_t place;
} Event;
typedef struct {
  int64_t *start;
  Event *event;
} Lists;

typedef struct {
  int64_t T, B, m, n, samples, groups;
  Input xs;
  const REAL *z, *z0, *asked[ASKED + 1], *s[STATES + 1], *i[PORTS], *s0[STATES + 1];
  const REAL *c[COEFFICIENTS + 1], *own[PORTS], *taps, *later;
  const uint8_t *valid;
  const Mark *mark_x, *mark_z;
  Mark *mark_z0;
  REAL *d_weight[PORTS], *d_recurrent[PORTS], *d_bias[PORTS], *d_c[COEFFICIENTS + 1], *earlier;
  Lists *below, *itself;
} Backward;

/* What reached a stage at a step: its input, or its own output before; and the marks. */
typedef struct {
  Input row;
  const Mark *mark;
} Incoming;

static Incoming incoming(const Backward *f, int own, int64_t t, int64_t b) {
  const int64_t now = t * f->B + b, last = now - f->B;
  if (!own) return (Incoming){input_at(f->xs, now * f->m), f->mark_x + now * marks(f->m)};
  if (!t) return (Incoming){{f->z0 + b * f->n, NULL}, f->mark_z0 + b * marks(f->n)};
  return (Incoming){{f->z + last * f->n, NULL}, f->mark_z + last * marks(f->n)};
}

/* Events of one group, sorted by line: listed row by row and counted, then put in their places.
   There is room for some percent, and more where there are more. */
static int sort_events(Lists *lists, const Backward *f, int64_t group, int own) {
  const int64_t first = group * f->samples, lines = own ? f->n : f->m;
  const int64_t last = first + f->samples < f->B ? first + f->samples : f->B;
  const int64_t rows = (last - first) * f->T;
  int64_t room = rows * lines / 32 + lines + SLACK, found = 0, r = 0;
  int64_t *start = lists->start = calloc((size_t)lines + 2, sizeof(int64_t));
  int32_t *line = malloc(sizeof(int32_t) * (size_t)room);
  int32_t *here = calloc((size_t)rows + 1, sizeof(int32_t));
  int wrong = !start || !line || !here;
  for (int64_t b = first; b < last && !wrong; b++)
    for (int64_t t = 0; t < f->T && !wrong; t++, r++) {
      if (f->valid && !f->valid[t * f->B + b]) continue;
      if (found + lines + SLACK > room) {
        int32_t *more = realloc(line, sizeof(int32_t) * (size_t)(room *= 2));
        wrong = !more;
        if (wrong) break;
        line = more;
      }
      here[r] = (int32_t)expand(incoming(f, own, t, b).mark, lines, line + found);
      for (int64_t e = 0; e < here[r]; e++) start[line[found++] + 2]++;
    }
  for (int64_t k = 0; k < lines && !wrong; k++) start[k + 2] += start[k + 1];
  Event *event = lists->event = malloc(sizeof(Event) * (size_t)(found + 1));
  wrong |= !event;
  found = r = 0;
  for (int64_t b = first; b < last && !wrong; b++)
    for (int64_t t = 0; t < f->T; t++, r++) {
      const Incoming now = incoming(f, own, t, b);
      const int graded = here[r] && now.mark[words(lines)];
      for (int64_t e = 0; e < here[r]; e++) {
        const int32_t key = line[found++];
        const REAL value = graded ? value_at(now.row, key) : 1;
        event[start[key + 1]++] = (Event){value, (int32_t)r};
      }
    }
  free(line);
  free(here);
  return wrong;
}

static int sort_group(void *shared, int64_t group) {
  const Backward *f = shared;
  int wrong = sort_events(f->below + group, f, group, 0);
  if (RECURRENT) wrong |= sort_events(f->itself + group, f, group, 1);
  return wrong;
}

/* out[line] += sum over the line's events of value * d[place]. */
static void accumulate(REAL *out, const REAL *d, const Lists *lists, int64_t lines) {
  for (int64_t line = 0; line < lines; line++) {
    const int64_t end = lists->start[line + 1];
    int64_t e = lists->start[line];
    if (e == end) continue;
    Vector *to = (Vector *)(out + line * WIDTH), sum[VECTORS];
    for (int v = 0; v < VECTORS; v++) sum[v] = to[v];
    for (; e < end; e++) {
      const REAL *from = d + (int64_t)lists->event[e].place * WIDTH;
      const REAL value = lists->event[e].value;
      for (int v = 0; v < VECTORS; v++) sum[v] += value * ((const Vector *)from)[v];
    }
    for (int v = 0; v < VECTORS; v++) to[v] = sum[v];
  }
}

/* What some neurons read at a step lies on other pages than what they read before: it is asked for
   steps ahead. */
enum { AHEAD = 4 };
static void ask_for_step(const Backward *f, int64_t at, int64_t w) {
  for (int k = 0; k < ASKED; k++) ask_for(f->asked[k] + at, w, 0);
  for (int k = 0; k < STATES; k++)
    if (READ_AFTER[k] || READ_BEFORE[k]) ask_for(f->s[k] + at, w, 0);
  for (int p = 0; p < PORTS; p++)
    if (READ_CURRENT[p]) ask_for(f->i[p] + at, w, 0);
  if (READ_OUTPUT) ask_for(f->z + at, w, 0);
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
    if (t >= AHEAD) ask_for_step(f, at - AHEAD * f->B * f->n, w);
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
  int64_t lines = 0;
  for (int p = 0; p < PORTS; p++) lines += FROM_BELOW[p] * f->m + FROM_ITSELF[p] * f->n;
  REAL *memory = calloc((size_t)(WIDTH * (rows * PORTS + CARRIED + lines)), sizeof(REAL));
  if (!memory) return 1;
  REAL *d[PORTS], *adjoint = memory + WIDTH * rows * PORTS, *next = adjoint + WIDTH * CARRIED;
  REAL *below[PORTS], *itself[PORTS];
  for (int p = 0; p < PORTS; p++) {
    d[p] = memory + WIDTH * rows * p;
    below[p] = next;
    next += FROM_BELOW[p] * f->m * WIDTH;
    itself[p] = next;
    next += FROM_ITSELF[p] * f->n * WIDTH;
  }
  for (int64_t group = 0; group < f->groups; group++) {
    const int64_t first = group * f->samples;
    const int64_t last = first + f->samples < f->B ? first + f->samples : f->B;
    for (int64_t b = first; b < last; b++) go_back(f, b, j, w, adjoint, d, (b - first) * f->T);
    for (int p = 0; p < PORTS; p++) {
      if (FROM_BELOW[p]) accumulate(below[p], d[p], f->below + group, f->m);
      if (FROM_ITSELF[p]) accumulate(itself[p], d[p], f->itself + group, f->n);
      if (!f->d_bias[p]) continue;
      for (int64_t r = 0; r < (last - first) * f->T; r++)
        for (int64_t k = 0; k < w; k++) f->d_bias[p][j + k] += d[p][r * WIDTH + k];
    }
  }
  for (int p = 0; p < PORTS; p++) {
    if (FROM_BELOW[p]) transpose(below[p], WIDTH, f->m, w, f->d_weight[p] + j * f->m, f->m);
    if (FROM_ITSELF[p]) transpose(itself[p], WIDTH, f->n, w, f->d_recurrent[p] + j * f->n, f->n);
  }
  free(memory);
  return 0;
}

static void let_go(Lists *lists, int64_t groups) {
  for (int64_t g = 0; lists && g < groups; g++) {
    free(lists[g].start);
    free(lists[g].event);
  }
  free(lists);
}

XLA_FFI_Error *backward(XLA_FFI_CallFrame *frame) {
  if (asked_for_metadata(frame)) return NULL;
  Backward f = {.T = dims(frame, 0)[0], .B = dims(frame, 0)[1], .m = dims(frame, 0)[2]};
  int a = 0, r = 0;
  f.xs = input(frame, a++);
  f.mark_x = argument(frame, a++);
  f.valid = size_of(frame, a) ? argument(frame, a) : NULL;
  a++;
  f.n = dims(frame, a)[2];
  f.z = argument(frame, a++);
  f.mark_z = argument(frame, a++);
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
  for (int p = 0; p < PORTS; p++)
    if (f.d_bias[p]) memset(f.d_bias[p], 0, sizeof(REAL) * (size_t)f.n);
  for (int k = 0; k < COEFFICIENTS; k++)
    if (f.d_c[k]) memset(f.d_c[k], 0, sizeof(REAL) * (size_t)f.n);
  /* A group's cotangents of currents should stay in the second cache; threads want some groups. */
  const int64_t cache = 262144 / (int64_t)sizeof(REAL) / (WIDTH * PORTS * (f.T ? f.T : 1));
  const int64_t share = (f.B + 3) / 4;
  f.samples = cache < share ? cache : share;
  if (f.samples < 1) f.samples = 1;
  f.groups = (f.B + f.samples - 1) / f.samples;
  f.below = calloc((size_t)f.groups + 1, sizeof(Lists));
  f.itself = calloc((size_t)f.groups + 1, sizeof(Lists));
  f.mark_z0 = malloc(sizeof(Mark) * (size_t)(f.B * marks(f.n) + 1));
  int wrong = !f.below || !f.itself || !f.mark_z0;
  for (int64_t b = 0; b < f.B && !wrong; b++)
    mark_row((Input){f.z0 + b * f.n, NULL}, f.n, f.mark_z0 + b * marks(f.n));
  wrong = wrong || parallel(frame, sort_group, &f, f.groups);
  wrong = wrong || parallel(frame, backward_column, &f, (f.n + WIDTH - 1) / WIDTH);
  let_go(f.below, f.groups);
  let_go(f.itself, f.groups);
  free(f.mark_z0);
  return wrong ? failed(frame, "events: out of memory") : NULL;
}
