/* Buffers of a call from XLA, and work shared among its threads. */
#ifndef TRACEGRAD_RUNTIME_H
#define TRACEGRAD_RUNTIME_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

#endif
