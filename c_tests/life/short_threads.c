/*
 * Threads with events that end in every way: short_threads NOTES COUNT [LIVE]. COUNT short ones one after the other in 16 places, each
 * with events in the middle and in the destructors of its thread-local storage; before that LIVE ones at once. Nothing of them
 * may stay in memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOBODY
#include "events.h"

enum { PLACES = 16, MOST_LIVE = 1000, GROWTH_KIB = 1024 };

typedef struct {
  _Atomic uint64_t value;
  char padding[56];
} word;

/* What the test reads: how many calls have returned, by the number that nth_event is given. */
static word *notes;
static pthread_key_t key;
static pthread_barrier_t all_there;

static void event(uint64_t number) {
  const uint64_t n = atomic_load(&notes[number].value) + 1;
  nth_event(number, n, (unsigned)n % 7);
  atomic_store(&notes[number].value, n);
}

/* The C library calls it again as long as something is there: after our own destructor, too. */
static void at_the_end(void *value) {
  const uintptr_t number = (uintptr_t)value >> 2, round = (uintptr_t)value & 3;
  event(number);
  if (round < 2) pthread_setspecific(key, (void *)(number << 2 | (round + 1)));
}

static void *short_thread(void *argument) {
  const uintptr_t number = (uintptr_t)argument >> 2;
  pthread_setspecific(key, (void *)(number << 2));
  const unsigned way = (uintptr_t)argument & 3;
  if (way == 2) pthread_cancel(pthread_self()); /* None of ours is a point at which it is. */
  for (int i = 0; i < 4; ++i) event(number);
  if (way == 1) pthread_exit(NULL);
  if (way == 2) pthread_testcancel();
  return NULL;
}

static void *live_thread(void *argument) {
  const uintptr_t number = (uintptr_t)argument;
  event(number);
  pthread_barrier_wait(&all_there);
  for (int i = 0; i < 9; ++i) event(number);
  pthread_barrier_wait(&all_there);
  return NULL;
}

static long anonymous_kib(void) {
  char line[128];
  long kib = -1;
  FILE *file = fopen("/proc/self/status", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "RssAnon: %ld", &kib) == 1) break;
  }
  fclose(file);
  return kib;
}

int main(int argc, char **argv) {
  CHECK(argc > 2);
  alarm(240);
  const int file = open(argv[1], O_RDWR);
  CHECK(file >= 0);
  notes = mmap(NULL, MOST_LIVE * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(notes != MAP_FAILED);
  close(file);
  CHECK(pthread_key_create(&key, at_the_end) == 0);
  const int count = atoi(argv[2]), live = argc > 3 ? atoi(argv[3]) : 0;
  static pthread_t threads[MOST_LIVE];
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 128 * 1024) == 0);
  if (live > 0) {
    CHECK(pthread_barrier_init(&all_there, NULL, (unsigned)live) == 0);
    for (int i = 0; i < live; ++i) {
      CHECK(pthread_create(&threads[i], &attributes, live_thread, (void *)(uintptr_t)i) == 0);
    }
    for (int i = 0; i < live; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  }
  long steady = 0;
  for (int round = 0; round < count / PLACES; ++round) {
    if (round == count / PLACES / 2) steady = anonymous_kib();
    for (uintptr_t i = 0; i < PLACES; ++i) {
      void *argument = (void *)(i << 2 | (i + (unsigned)round) % 3);
      CHECK(pthread_create(&threads[i], &attributes, short_thread, argument) == 0);
    }
    for (int i = 0; i < PLACES; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  }
  const long growth = anonymous_kib() - steady;
  printf("{\"growth_kib\": %ld}\n", growth);
  CHECK(growth <= GROWTH_KIB);
  return 0;
}
