/*
 * 8 threads record as fast as they can and note after each call, in a file that they map, how many have returned: killed FILE
 * [WAY [MILLISECONDS]]. It goes on until somebody kills it, or until it ends by itself in this way after so long.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "events.h"

typedef struct {
  _Atomic uint64_t value;
  char padding[56]; /* A cache line each. */
} word;

/* What the test reads: the process, and for each thread how many of its calls have returned. */
static word *notes;
static atomic_int is_over;

static void *record(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  for (uint64_t n = 1; !atomic_load_explicit(&is_over, memory_order_relaxed); ++n) {
    nth_event(thread, n, (unsigned)(n * 7 / 3 % 29));
    atomic_store_explicit(&notes[1 + thread].value, n, memory_order_release);
  }
  return NULL;
}

/* For ever, as far as the stack goes. */
static int overflow(volatile int *depth) {
  volatile int next = *depth + 1;
  return next > 0 ? overflow(&next) + next : 0;
}

static volatile int *volatile nowhere;


static void *exit_from_a_thread(void *argument) {
  (void)argument;
  exit(5);
}

static void *end_all(void *argument) {
  while (atomic_load(&notes[THREADS].value) < 100) usleep(100);
  usleep((unsigned)(uintptr_t)argument);
  atomic_store(&is_over, 1);
  return NULL;
}

static void end_by(const char *way, unsigned microseconds) {
  pthread_t thread;
  if (!strcmp(way, "main_exits_as_thread")) {
    CHECK(pthread_create(&thread, NULL, end_all, (void *)(uintptr_t)microseconds) == 0);
    pthread_exit(NULL);
  }
  for (int i = 1; i <= THREADS; ++i) {
    while (atomic_load(&notes[i].value) < 100) usleep(100);
  }
  usleep(microseconds);
  if (!strcmp(way, "abort")) abort();
  if (!strcmp(way, "segv")) *nowhere = 1;
  if (!strcmp(way, "overflow")) {
    volatile int depth = 0;
    _exit(overflow(&depth));
  }
  if (!strcmp(way, "_exit")) _exit(3);
  if (!strcmp(way, "quick_exit")) quick_exit(4);
  if (!strcmp(way, "return")) exit(6);
  if (!strcmp(way, "exec")) execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
  if (!strcmp(way, "thread")) {
    CHECK(pthread_create(&thread, NULL, exit_from_a_thread, NULL) == 0);
    pause();
  }
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  const int file = open(argv[1], O_RDWR);
  CHECK(file >= 0);
  notes = mmap(NULL, (1 + THREADS) * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(notes != MAP_FAILED);
  close(file);
  atomic_store(&notes[0].value, (uint64_t)getpid());
  for (uintptr_t i = 0; i < THREADS; ++i) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, record, (void *)i) == 0);
  }
  if (argc > 2) {
    end_by(argv[2], argc > 3 ? (unsigned)atoi(argv[3]) * 1000 : 10000);
  }
  for (;;) pause();
}
