/*
 * Two threads each open and close two libraries by turns, which come to lie where the other one was, and record from in there, while
 * others record: reused NOTES TURNS LIBRARY LIBRARY LIBRARY LIBRARY. The libraries of a thread are its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "events.h"

enum { LOADERS = 2, RECORDERS = 2 };

typedef struct {
  _Atomic uint64_t value;
  char padding[56];
} word;

/* What the test reads: how many calls of each thread have returned, then how often a library came where the other had been. */
static word *notes;
static uint64_t turns;
static char **libraries;
static atomic_int is_over;

static void *load(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  void *before = NULL;
  for (uint64_t n = 1; n <= turns; ++n) {
    void *library = dlopen(libraries[2 * thread + n % 2], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    void *found = dlsym(library, "through");
    void (*through)(void (*)(uint64_t, uint64_t, unsigned), uint64_t, uint64_t);
    *(void **)&through = found;
    CHECK(found != NULL);
    if (found == before) atomic_fetch_add(&notes[LOADERS + RECORDERS].value, 1);
    before = found;
    through(nth_event, thread, n);
    atomic_store(&notes[thread].value, n);
    CHECK(dlclose(library) == 0);
  }
  return NULL;
}

static void *record(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  for (uint64_t n = 1; !atomic_load(&is_over); ++n) {
    nth_event(thread, n, (unsigned)n % 7);
    atomic_store(&notes[thread].value, n);
    if (n % 200 == 0) usleep(200);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc > 6);
  alarm(240);
  const int file = open(argv[1], O_RDWR);
  CHECK(file >= 0);
  notes = mmap(NULL, (LOADERS + RECORDERS + 1) * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(notes != MAP_FAILED);
  turns = (uint64_t)atoll(argv[2]);
  libraries = argv + 3;
  pthread_t threads[LOADERS + RECORDERS];
  for (uintptr_t i = 0; i < LOADERS + RECORDERS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, i < LOADERS ? load : record, (void *)i) == 0);
  }
  for (int i = 0; i < LOADERS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  atomic_store(&is_over, 1);
  for (int i = LOADERS; i < LOADERS + RECORDERS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
