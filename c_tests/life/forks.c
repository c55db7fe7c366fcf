/*
 * Makes processes in every way that there is while 8 threads record and 2 open and close a library: forks NOTES PLUGIN COUNT.
 * A child that may has events, and ends. Nothing may take 30 s.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events.h"

enum { LOADERS = 2, PATIENCE = 30, WORDS = 1 + THREADS + LOADERS, OF_A_CHILD = 20 };

typedef struct {
  _Atomic uint64_t value;
  char padding[56];
} word;

extern char **environ;
/* What the test reads: how many children had events, and how many calls of each thread have returned. */
static word *notes;
static atomic_int is_over;
static const char *plugin_path;

static void *record(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  for (uint64_t n = 1; !atomic_load_explicit(&is_over, memory_order_relaxed); ++n) {
    nth_event(thread, n, (unsigned)(n * 7 / 3 % 29));
    atomic_store_explicit(&notes[1 + thread].value, n, memory_order_release);
    if (n % 200 == 0) usleep(200);
  }
  return NULL;
}

/* Events whose stacks lead through a library that comes and goes. */
static void *load(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  for (uint64_t n = 1; !atomic_load_explicit(&is_over, memory_order_relaxed); ++n) {
    void *library = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    void (*through)(void (*)(uint64_t, uint64_t, unsigned), uint64_t, uint64_t);
    *(void **)&through = dlsym(library, "through");
    CHECK(through != NULL);
    through(nth_event, thread, n);
    atomic_store_explicit(&notes[1 + thread].value, n, memory_order_release);
    CHECK(dlclose(library) == 0);
  }
  return NULL;
}

/* The events of a child, at addresses of its own. */
static void of_a_child(void) {
  alarm(PATIENCE);
  for (uint64_t n = 1; n <= OF_A_CHILD; ++n) nth_event(5000, n, (unsigned)n % 5);
}

static void expect(pid_t child, int code) {
  int status = -1;
  CHECK(child > 0);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* It does not end by exit(): another thread may have been in a dlclose, and have the C library's lock of that for ever. */
static void child_with_events(pid_t child) {
  if (child == 0) {
    of_a_child();
    _exit(9);
  }
  expect(child, 9);
  atomic_fetch_add(&notes[0].value, 1);
}

static void by_vfork(void) {
  const pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(1);
  }
  expect(child, 0);
}

static void by_spawn(void) {
  char *arguments[] = {(char *)"true", NULL};
  pid_t child = -1;
  CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
  expect(child, 0);
}

static void by_popen(void) {
  char line[16] = "";
  FILE *pipe = popen("echo yes", "r");
  CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL && line[0] == 'y');
  CHECK(pclose(pipe) == 0);
}

int main(int argc, char **argv) {
  CHECK(argc > 3);
  const int file = open(argv[1], O_RDWR);
  CHECK(file >= 0);
  notes = mmap(NULL, WORDS * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(notes != MAP_FAILED);
  close(file);
  plugin_path = argv[2];
  pthread_t threads[THREADS + LOADERS];
  for (uintptr_t i = 0; i < THREADS + LOADERS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, i < THREADS ? record : load, (void *)i) == 0);
  }
  for (int i = 1; i <= THREADS; ++i) {
    while (atomic_load(&notes[i].value) == 0) usleep(100);
  }
  const int count = atoi(argv[3]);
  for (int i = 0; i < count; ++i) {
    alarm(PATIENCE);
    switch (i % 8) {
      case 0:
      case 1: child_with_events(fork()); break;
      case 2: child_with_events(_Fork()); break;
      case 3: child_with_events((pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)); break;
      case 4: by_vfork(); break;
      case 5: by_spawn(); break;
      case 6: CHECK(WEXITSTATUS(system("exit 3")) == 3); break;
      default: by_popen();
    }
  }
  alarm(PATIENCE);
  atomic_store(&is_over, 1);
  for (int i = 0; i < THREADS + LOADERS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
