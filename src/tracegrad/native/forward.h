/* A layer through a block of steps, forward: currents gathered from events, one sample after the
   other, samples shared among threads. The file that includes this defines

     REAL, STATES, PORTS, COEFFICIENTS, BIAS
     FROM_BELOW[p], FROM_ITSELF[p]   which currents have weights
     KEEP_STATE[k], KEEP_CURRENT[p]  what the way back will read
     neuron_step                     every neuron's step and output

   In: xs (T,B,m), valid (T,B) or nothing, weights (m,n), recurrent weights (n,n), biases (n),
   coefficients (n), states (B,n), output (B,n). Out: outputs (T,B,n), states and output at the
   end (B,n), what is kept (T,B,n). */
#include "runtime.h"

typedef struct {
  int64_t T, B, m, n;
  const REAL *xs, *weight[PORTS], *recurrent[PORTS], *bias[PORTS];
  const REAL *c[COEFFICIENTS + 1], *s0[STATES + 1], *z0;
  const uint8_t *valid;
  REAL *z, *s_end[STATES + 1], *z_end, *kept_s[STATES + 1], *kept_i[PORTS];
} Forward;

static int forward_sample(void *shared, int64_t b) {
  const Forward *f = shared;
  const int64_t n = f->n, m = f->m;
  REAL *memory = malloc(sizeof(REAL) * (size_t)(n * (STATES + PORTS + 1) + m + n));
  int32_t *line = malloc(sizeof(int32_t) * (size_t)(m + n));
  if (!memory || !line) {
    free(memory);
    free(line);
    return 1;
  }
  REAL *s[STATES + 1], *i[PORTS], *z = memory, *value = memory + n * (STATES + PORTS + 1);
  for (int k = 0; k < STATES; k++) {
    s[k] = memory + (1 + k) * n;
    memcpy(s[k], f->s0[k] + b * n, sizeof(REAL) * (size_t)n);
  }
  for (int p = 0; p < PORTS; p++) i[p] = memory + (1 + STATES + p) * n;
  memcpy(z, f->z0 + b * n, sizeof(REAL) * (size_t)n);
  for (int64_t t = 0; t < f->T; t++) {
    const int64_t row = t * f->B + b;
    if (!f->valid || f->valid[row]) {
      for (int p = 0; p < PORTS; p++) {
        if (f->bias[p]) memcpy(i[p], f->bias[p], sizeof(REAL) * (size_t)n);
        else memset(i[p], 0, sizeof(REAL) * (size_t)n);
      }
      const int64_t below = events_of(f->xs + row * m, m, t + 1 < f->T ? f->B * m : 0, line, value);
      for (int p = 0; p < PORTS; p++)
        if (FROM_BELOW[p]) gather(i[p], f->weight[p], n, line, value, below);
      if (RECURRENT) {
        const int64_t own = events_of(z, n, 0, line, value);
        for (int p = 0; p < PORTS; p++)
          if (FROM_ITSELF[p]) gather(i[p], f->recurrent[p], n, line, value, own);
      }
      neuron_step(n, s, z, i, f->c);
    }
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
  return 0;
}

XLA_FFI_Error *forward(XLA_FFI_CallFrame *frame) {
  if (asked_for_metadata(frame)) return NULL;
  Forward f = {.T = dims(frame, 0)[0], .B = dims(frame, 0)[1], .m = dims(frame, 0)[2]};
  int a = 0, r = 0;
  f.xs = argument(frame, a++);
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
  for (int k = 0; k < STATES; k++) f.s_end[k] = result(frame, r++);
  f.z_end = result(frame, r++);
  for (int k = 0; k < STATES; k++)
    if (KEEP_STATE[k]) f.kept_s[k] = result(frame, r++);
  for (int p = 0; p < PORTS; p++)
    if (KEEP_CURRENT[p]) f.kept_i[p] = result(frame, r++);
  if (parallel(frame, forward_sample, &f, f.B)) return failed(frame, "events: out of memory");
  return NULL;
}
