/*
 * Prints the number of every attempted free after its call has returned, unbuffered, and is killed in the middle:
 * sigkill [FREES [THREADS [SIGNAL]]]. Every third free is in excess. With FREES 0 it goes on until somebody kills it.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

static long kill_after = 1000;
static int kill_signal = SIGKILL;
static atomic_long frees;

static void say(long number) {
  char line[32];
  const int length = snprintf(line, sizeof line, "%ld\n", number);
  CHECK(write(STDOUT_FILENO, line, (size_t)length) == length);
}

NOINLINE static void attempt_free(uint64_t address, uint64_t owner) {
  wf_deallocate(0, address, owner);
  const long number = atomic_fetch_add(&frees, 1) + 1;
  say(number);
  if (number == kill_after) {
    kill(getpid(), kill_signal);
  }
}

static void *work(void *argument) {
  const uint64_t address = 0x1000 + (uint64_t)(uintptr_t)argument * 0x1000;
  for (uint64_t life = 0;; ++life) {
    const uint64_t owner = address * 1000000 + life + 1;
    wf_allocate(0, address, 64, 0, owner);
    attempt_free(address, owner);
    wf_allocate(0, address + 64, 64, 0, owner);
    attempt_free(address + 64, owner);
    attempt_free(address + 64, owner); /* In excess. */
  }
  return NULL;
}

int main(int argc, char **argv) {
  kill_after = argc > 1 ? atol(argv[1]) : kill_after;
  const long threads = argc > 2 ? atol(argv[2]) : 1;
  kill_signal = argc > 3 ? atoi(argv[3]) : SIGKILL;
  for (long i = 1; i < threads; ++i) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, (void *)(uintptr_t)i) == 0);
  }
  work(NULL);
  return 0;
}
