/* A layer through a block of steps, forward: currents gathered from events, one sample after the
   other, samples shared among threads. The file that includes this defines

     REAL, STATES, PORTS, COEFFICIENTS, BIAS, RECURRENT
     MARKED                          whether the input comes with its marks
     FROM_BELOW[p], FROM_ITSELF[p]   which currents have weights
     KEEP_STATE[k], KEEP_CURRENT[p]  what the way back will read
     neuron_step                     every neuron's step and output

   In: xs (T,B,m), real or bytes, marks of xs (T,B,marks) or nothing, valid (T,B) or nothing,
   weights (n,m), recurrent weights (n,n), biases (n), coefficients (n), states (B,n), output (B,n).
   Out: outputs (T,B,n), their marks (T,B,marks), marks of xs unless they came with it, states and
   output at the end (B,n), the sum of outputs (B,n), what is kept (T,B,n). */
#include "events.h"
#include "runtime.h"
#include "vectors.h"

typedef struct {
  int64_t T, B, m, n;
  Input xs;
  const REAL *weight[PORTS], *recurrent[PORTS], *bias[PORTS];
  const REAL *c[COEFFICIENTS + 1], *s0[STATES + 1], *z0;
  const uint8_t *valid;
  const Mark *marked;
  Mark *mark_x, *mark_z;
  REAL *turned[2 * PORTS];
  REAL *z, *s_end[STATES + 1], *z_end, *total, *kept_s[STATES + 1], *kept_i[PORTS];
} Forward;

/* 16 neurons' weights with a line for every input, so that an event adds one line. */
static void turn_lines(const REAL *from, int64_t lines, int64_t n, int64_t j, REAL *to) {
  const int64_t high = n - j < SIDE ? n - j : SIDE, apart = padded(n);
  transpose(from + j * lines, lines, high, lines, to + j, apart);
  for (int64_t k = 0; k < lines && high < SIDE; k++)
    for (int64_t r = high; r < SIDE; r++) to[k * apart + j + r] = 0;
}

/* Before the first step, as items: weights are turned, then inputs marked, a step each, as they lie
   in memory. A thread that was asleep comes while others turn. */
static int prepare(void *shared, int64_t item) {
  const Forward *f = shared;
  const int64_t turns = padded(f->n) / SIDE, t = item - turns;
  for (int p = 0; p < PORTS && t < 0; p++) {
    const int64_t j = SIDE * item;
    if (FROM_BELOW[p]) turn_lines(f->weight[p], f->m, f->n, j, f->turned[p]);
    if (FROM_ITSELF[p]) turn_lines(f->recurrent[p], f->n, f->n, j, f->turned[PORTS + p]);
  }
  for (int64_t row = t * f->B; t >= 0 && row < (t + 1) * f->B; row++)
    mark_row(input_at(f->xs, row * f->m), f->m, f->mark_x + row * marks(f->m));
  return 0;
}

static int forward_sample(void *shared, int64_t b) {
  const Forward *f = shared;
  const int64_t n = f->n, m = f->m, wide = marks(m), own_wide = marks(n), apart = padded(n);
  REAL *memory = calloc((size_t)(n * (STATES + 2) + apart * PORTS + m), sizeof(REAL));
  int32_t *line = malloc(sizeof(int32_t) * (size_t)(m + n + 2 * SLACK));
  Mark *first = malloc(sizeof(Mark) * (size_t)own_wide);
  if (!memory || !line || !first) {
    free(memory);
    free(line);
    free(first);
    return 1;
  }
  REAL *s[STATES + 1], *i[PORTS], *z = memory, *total = f->total + b * n;
  REAL *own_value = memory + n * (STATES + 1) + apart * PORTS, *value = own_value + n;
  int32_t *own_line = line + m + SLACK;
  for (int k = 0; k < STATES; k++) {
    s[k] = memory + (1 + k) * n;
    memcpy(s[k], f->s0[k] + b * n, sizeof(REAL) * (size_t)n);
  }
  for (int p = 0; p < PORTS; p++) i[p] = memory + (1 + STATES) * n + p * apart;
  memcpy(z, f->z0 + b * n, sizeof(REAL) * (size_t)n);
  memset(total, 0, sizeof(REAL) * (size_t)n);
  const Input output = {z, NULL};
  mark_row(output, n, first);
  int64_t own = RECURRENT ? events_of(output, first, n, own_line, own_value) : 0;
  for (int64_t t = 0; t < f->T; t++) {
    const int64_t row = t * f->B + b;
    const Input x = input_at(f->xs, row * m);
    ask_for(f->z + row * n, n, 1);
    for (int k = 0; k < STATES; k++)
      if (KEEP_STATE[k]) ask_for(f->kept_s[k] + row * n, n, 1);
    for (int p = 0; p < PORTS; p++)
      if (KEEP_CURRENT[p]) ask_for(f->kept_i[p] + row * n, n, 1);
    if (!f->valid || f->valid[row]) {
      for (int p = 0; p < PORTS; p++) {
        if (f->bias[p]) memcpy(i[p], f->bias[p], sizeof(REAL) * (size_t)n);
        else memset(i[p], 0, sizeof(REAL) * (size_t)n);
      }
      const Mark *mark_x = (MARKED ? f->marked : f->mark_x) + row * wide;
      const int64_t below = events_of(x, mark_x, m, line, value);
      for (int p = 0; p < PORTS; p++)
        if (FROM_BELOW[p]) gather(i[p], f->turned[p], n, line, value, below);
      for (int p = 0; p < PORTS; p++)
        if (FROM_ITSELF[p]) gather(i[p], f->turned[PORTS + p], n, own_line, own_value, own);
      neuron_step(n, s, z, i, f->c);
      for (int64_t j = 0; j < n; j++) total[j] += z[j];
    }
    Mark *mark = f->mark_z + row * own_wide;
    mark_row(output, n, mark);
    if (RECURRENT) own = events_of(output, mark, n, own_line, own_value);
    memcpy(f->z + row * n, z, sizeof(REAL) * (size_t)n);
    for (int k = 0; k < STATES; k++)
      if (KEEP_STATE[k]) memcpy(f->kept_s[k] + row * n, s[k], sizeof(REAL) * (size_t)n);
    for (int p = 0; p < PORTS; p++)
      if (KEEP_CURRENT[p]) memcpy(f->kept_i[p] + row * n, i[p], sizeof(REAL) * (size_t)n);
  }
  for (int k = 0; k < STATES; k++) memcpy(f->s_end[k] + b * n, s[k], sizeof(REAL) * (size_t)n);
  memcpy(f->z_end + b * n, z, sizeof(REAL) * (size_t)n);
  free(memory);
  free(line);
  free(first);
  return 0;
}

XLA_FFI_Error *forward(XLA_FFI_CallFrame *frame) {
  if (asked_for_metadata(frame)) return NULL;
  Forward f = {.T = dims(frame, 0)[0], .B = dims(frame, 0)[1], .m = dims(frame, 0)[2]};
  int a = 0, r = 0;
  f.xs = input(frame, a++);
  f.marked = argument(frame, a++);
  f.valid = size_of(frame, a) ? argument(frame, a) : NULL;
  a++;
  for (int p = 0; p < PORTS; p++)
    if (FROM_BELOW[p]) f.weight[p] = argument(frame, a++);
  for (int p = 0; p < PORTS; p++)
    if (FROM_ITSELF[p]) f.recurrent[p] = argument(frame, a++);
  for (int p = 0; p < PORTS; p++)
    if (BIAS && FROM_BELOW[p]) f.bias[p] = argument(frame, a++);
  for (int k = 0; k < COEFFICIENTS; k++) f.c[k] = argument(frame, a++);
  for (int k = 0; k < STATES; k++) f.s0[k] = argument(frame, a++);
  f.n = dims(frame, a)[1];
  f.z0 = argument(frame, a);
  f.z = result(frame, r++);
  f.mark_z = result(frame, r++);
  if (!MARKED) f.mark_x = result(frame, r++);
  for (int k = 0; k < STATES; k++) f.s_end[k] = result(frame, r++);
  f.z_end = result(frame, r++);
  f.total = result(frame, r++);
  for (int k = 0; k < STATES; k++)
    if (KEEP_STATE[k]) f.kept_s[k] = result(frame, r++);
  for (int p = 0; p < PORTS; p++)
    if (KEEP_CURRENT[p]) f.kept_i[p] = result(frame, r++);
  int64_t lines = 0;
  for (int p = 0; p < PORTS; p++) lines += FROM_BELOW[p] * f.m + FROM_ITSELF[p] * f.n;
  REAL *turned = malloc(sizeof(REAL) * (size_t)(lines * padded(f.n) + 1)), *next = turned;
  if (!turned) return failed(frame, "events: out of memory");
  for (int p = 0; p < PORTS; p++) {
    f.turned[p] = next;
    next += FROM_BELOW[p] * f.m * padded(f.n);
    f.turned[PORTS + p] = next;
    next += FROM_ITSELF[p] * f.n * padded(f.n);
  }
  int wrong = parallel(frame, prepare, &f, padded(f.n) / SIDE + (MARKED ? 0 : f.T));
  wrong = wrong || parallel(frame, forward_sample, &f, f.B);
  free(turned);
  return wrong ? failed(frame, "events: out of memory") : NULL;
}
