/*
 * 8 threads record as fast as they can while something that the library needs does not get on: overload NOTES WAY CALLS [SECONDS].
 * The library's own thread sleeps for ever (writer), or is made late (late), or the file system does not answer (disk); with
 * none of them it is only as much as it can be. Each thread makes CALLS calls, of which none may wait for the end of that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

enum { FIRST_TID = 1 + THREADS, BEGIN = 1 + 2 * THREADS, END, WORDS, PATIENCE = 240 };

typedef struct {
  _Atomic uint64_t value;
  char padding[56];
} word;

/* What the test reads: how many calls of each thread have returned, their kernel's ids, and when all that was. */
static word *notes;
static atomic_int writer_sleeps, writer_is_asleep, disk_stalls, is_late;
static uint64_t calls;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

typedef long real_call(long number, ...);

static real_call *real_syscall(void) {
  static _Atomic(real_call *) found;
  real_call *real = atomic_load(&found);
  if (!real) {
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    atomic_store(&found, real);
  }
  return real;
}

static int really_sleep(const struct timespec *length) { return (int)real_syscall()(SYS_nanosleep, length, NULL); }

static void while_it_lasts(atomic_int *state) {
  const struct timespec moment = {0, 1000000};
  while (atomic_load(state)) really_sleep(&moment);
}

static int is_library_thread(void) {
  char name[16] = "";
  prctl(PR_GET_NAME, name);
  return strcmp(name, "whofreed") == 0;
}

static void writer_sleeps_on(void) {
  if (!atomic_load(&writer_sleeps) || !is_library_thread()) return;
  atomic_store(&writer_is_asleep, 1);
  while_it_lasts(&writer_sleeps);
}

/* What the library calls is found here before it is in the C library. */
int nanosleep(const struct timespec *length, struct timespec *rest) {
  (void)rest;
  writer_sleeps_on();
  return really_sleep(length);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *length, struct timespec *rest) {
  writer_sleeps_on();
  return real_syscall()(SYS_clock_nanosleep, clock, flags, length, rest) == 0 ? 0 : errno;
}

long syscall(long number, ...) {
  va_list list;
  long words[6];
  va_start(list, number);
  for (int i = 0; i < 6; ++i) words[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex) writer_sleeps_on();
  return real_syscall()(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int posix_fallocate(int file, off_t offset, off_t length) {
  while_it_lasts(&disk_stalls);
  return real_syscall()(SYS_fallocate, file, 0, offset, length) == 0 ? 0 : errno;
}

static void *record(void *argument);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (start != record) while_it_lasts(&is_late);
  return real(thread, attributes, start, argument);
}

static void *record(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  atomic_store(&notes[FIRST_TID + thread].value, (uint64_t)syscall(SYS_gettid));
  for (uint64_t n = 1; n <= calls; ++n) {
    nth_event(thread, n, (unsigned)(n % 5));
    atomic_store_explicit(&notes[1 + thread].value, n, memory_order_release);
    /* Nothing is measured before it does not get on any more. */
    const struct timespec moment = {0, 1000000};
    while (n == 1 && atomic_load(&writer_sleeps) && !atomic_load(&writer_is_asleep)) really_sleep(&moment);
  }
  return NULL;
}

/* Waits until so many threads have made so many calls. */
static void until(int threads, uint64_t made) {
  const struct timespec moment = {0, 1000000};
  for (;;) {
    int done = 0;
    for (int i = 0; i < THREADS; ++i) done += atomic_load(&notes[1 + i].value) >= made;
    if (done >= threads) return;
    really_sleep(&moment);
  }
}

int main(int argc, char **argv) {
  CHECK(argc > 3);
  alarm(PATIENCE);
  const int file = open(argv[1], O_RDWR);
  CHECK(file >= 0);
  notes = mmap(NULL, WORDS * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(notes != MAP_FAILED);
  close(file);
  const char *way = argv[2];
  calls = (uint64_t)atoll(argv[3]);
  const unsigned seconds = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
  atomic_store(&is_late, !strcmp(way, "late"));
  atomic_store(&writer_sleeps, !strcmp(way, "writer"));
  atomic_store(&notes[BEGIN].value, now());
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; ++i) CHECK(pthread_create(&threads[i], NULL, record, (void *)i) == 0);
  if (!strcmp(way, "late")) {
    /* One makes the thread, and waits for that. */
    until(THREADS - 1, calls / 4);
    atomic_store(&is_late, 0);
  }
  if (!strcmp(way, "disk")) {
    until(THREADS, calls / 4);
    atomic_store(&disk_stalls, 1);
    const uint64_t begun = now();
    /* One may have been asking the file system when it began; the others do not wait for it. */
    until(THREADS - 1, calls * 3 / 4);
    while (now() - begun < seconds * 1000000000ull) sleep(1);
    atomic_store(&disk_stalls, 0);
  }
  for (int i = 0; i < THREADS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  atomic_store(&notes[END].value, now());
  atomic_store(&writer_sleeps, 0);
  return 0;
}
