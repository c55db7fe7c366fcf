// What a host pays that tells of its buffers itself: `api THREADS PAIRS LIVE`.
//
// Each thread has a device of its own with LIVE buffers at once, each with an owner of its own. It frees one after the other and
// allocates another owner's in its place. Prints one line: how many events there were, how long the loop took in nanoseconds on
// the wall and on the process's processors, and the most memory in KiB.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "threads.h"
#include "whofreed.h"

static uint64_t pairs, live;

static void *churn(void *number) {
  uint32_t device = (uint32_t)(uintptr_t)number;
  uint64_t owner = 0;
  for (uint64_t place = 0; place < live; place++) wf_allocate(device, 0x1000 + 0x100 * place, 64, 0, ++owner);
  pthread_barrier_wait(&filled);
  for (uint64_t pair = 0; pair < pairs; pair++) {
    // Not one behind the other in memory.
    uint64_t place = pair * 7919 % live;
    uint64_t before = pair < live ? place + 1 : owner + 1 - live;
    if (wf_deallocate(device, 0x1000 + 0x100 * place, before) != WF_OK) abort();
    wf_allocate(device, 0x1000 + 0x100 * place, 64, 0, ++owner);
  }
  pthread_barrier_wait(&done);
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  int threads = atoi(arguments[1]);
  pairs = strtoull(arguments[2], NULL, 10);
  live = strtoull(arguments[3], NULL, 10);
  if (threads < 1 || threads > MOST_THREADS || pairs < 1 || live < 1 || live % 7919 == 0) return 2;
  return measure_threads(threads, churn, 2 * pairs * (uint64_t)threads);
}
