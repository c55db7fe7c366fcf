/* A child that has no memory for the state of a thread of its own, and ends without exit handlers: its events are in no trace. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "whofreed.h"

static pthread_barrier_t has_limit;

static void *in_thread(void *argument) {
  (void)argument;
  pthread_barrier_wait(&has_limit);
  for (uint64_t n = 0; n < 100; ++n) (void)wf_allocate(0, 0x1000 + n * 64, 64, 0, n + 1);
  return NULL;
}

int main(void) {
  CHECK(wf_allocate(0, 0x10, 64, 0, 1) == WF_OK);
  const pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    pthread_barrier_init(&has_limit, NULL, 2);
    CHECK(pthread_create(&thread, NULL, in_thread, NULL) == 0);
    const struct rlimit none = {1, 1};
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    pthread_barrier_wait(&has_limit);
    CHECK(pthread_join(thread, NULL) == 0);
    wf_stats_t stats;
    wf_stats(&stats);
    _exit(stats.dropped_events == 100 ? 0 : 2);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  return status == 0 ? 0 : 3;
}
