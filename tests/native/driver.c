/* Calls a generated kernel as XLA would, with threads of its own, so that sanitisers can watch.
   Reads what to call: the numbers of arguments and results, then of each its element size, rank
   and dimensions. A dimension 0 gives an empty array. Prints a checksum of the results. */
#include <pthread.h>
#include <stdio.h>

#include "kernel.c"

enum { MOST = 64, THREADS = 3 };
static pthread_t threads[4096];
static atomic_int started;

typedef struct {
  XLA_FFI_Task *task;
  void *data;
} Order;
static void *run(void *order) {
  Order mine = *(Order *)order;
  free(order);
  mine.task(mine.data);
  return NULL;
}
static XLA_FFI_Error *schedule(XLA_FFI_ThreadPool_Schedule_Args *args) {
  Order *order = malloc(sizeof(Order));
  *order = (Order){args->task, args->data};
  pthread_create(&threads[atomic_fetch_add(&started, 1)], NULL, run, order);
  return NULL;
}
static XLA_FFI_Error *count(XLA_FFI_ThreadPool_NumThreads_Args *args) {
  *args->num_threads = THREADS;
  return NULL;
}

static uint32_t state = 1;
static double uniform(void) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) / 16777216.0;
}

static void *buffer(int64_t sizes[MOST], XLA_FFI_Buffer *made) {
  int bytes, rank;
  if (scanf("%d %d", &bytes, &rank) != 2) exit(2);
  int64_t size = 1;
  for (int d = 0; d < rank; d++) {
    long dim;
    if (scanf("%ld", &dim) != 1) exit(2);
    size *= sizes[d] = dim;
  }
  char *data = malloc((size_t)(size * bytes) + (size == 0));
  for (int64_t i = 0; i < size; i++) {
    /* The last two of a row of marks: a word whose first bit exists, and one that is 0 or 1. */
    const int last = i % sizes[rank - 1] + 2 >= sizes[rank - 1];
    if (bytes == 1) data[i] = uniform() < 0.9;
    else if (bytes == 2) ((uint16_t *)data)[i] = uniform() < 0.5 ? 0 : last ? 1 : 0x8421;
    else if (rank == 1) ((REAL *)data)[i] = (REAL)(0.5 + 0.4 * uniform()); /* a coefficient */
    else ((REAL *)data)[i] = uniform() < 0.5 ? 0 : (REAL)uniform();
  }
  const XLA_FFI_DataType type = bytes == 1   ? XLA_FFI_DataType_U8
                                : bytes == 2 ? XLA_FFI_DataType_U16
                                             : XLA_FFI_DataType_INVALID;
  *made = (XLA_FFI_Buffer){.dtype = type, .data = data, .rank = rank, .dims = sizes};
  return made;
}

int main(void) {
  static int64_t sizes[2][MOST][MOST];
  static XLA_FFI_Buffer buffers[2][MOST];
  static void *pointers[2][MOST];
  int numbers[2];
  if (scanf("%d %d", &numbers[0], &numbers[1]) != 2) return 2;
  for (int side = 0; side < 2; side++)
    for (int i = 0; i < numbers[side]; i++)
      pointers[side][i] = buffer(sizes[side][i], &buffers[side][i]);
  XLA_FFI_Api api = {.XLA_FFI_ThreadPool_Schedule = schedule,
                     .XLA_FFI_ThreadPool_NumThreads = count};
  XLA_FFI_CallFrame frame = {.api = &api,
                             .args = {.size = numbers[0], .args = pointers[0]},
                             .rets = {.size = numbers[1], .rets = pointers[1]}};
  if (CALL(&frame)) return 1;
  for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
  double sum = 0;
  for (int r = 0; r < numbers[1]; r++) {
    int64_t size = buffers[1][r].dtype != XLA_FFI_DataType_U16; /* marks are no numbers */
    for (int64_t d = 0; d < buffers[1][r].rank; d++) size *= sizes[1][r][d];
    for (int64_t i = 0; i < size; i++) sum += ((REAL *)buffers[1][r].data)[i];
  }
  printf("%g\n", sum);
  for (int side = 0; side < 2; side++)
    for (int i = 0; i < numbers[side]; i++) free(buffers[side][i].data);
  return sum == sum ? 0 : 3;
}
