/* One mode for each thing that hosts do and that tools like this one stumble over. Every mode checks the verdicts, so it
 * fails when the tool is in the way. The last line is the host's own account. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

static NOINLINE wf_verdict take(uint64_t address, uint64_t owner) { return wf_allocate(1, address, 64, 0, owner); }

static NOINLINE wf_verdict give(uint64_t address, uint64_t owner) { return wf_deallocate(1, address, owner); }

/* A constructor of the program's own, which runs before that of a library when it is linked so. */
static void early(void) {
  CHECK(take(0x10, 0) == WF_OK);
  CHECK(give(0x10, 0) == WF_OK);
}
#ifndef NO_EVENT_BEFORE_MAIN
__attribute__((section(".preinit_array"), used)) static void (*const before_everybody)(void) = early;
#else
__attribute__((used)) static void (*const before_nobody)(void) = early;
#endif

/* Ends with one excess free, so that whoever lost the beginning is found out. */
static void many(void) {
  for (uint64_t i = 0; i < 5000; i++) {
    CHECK(take(0x1000 + i, 0) == WF_OK);
    CHECK(give(0x1000 + i, 0) == WF_OK);
  }
}

/* The thread is to be cancelled at the next cancellation point: none of ours may be one. */
static void *cancelled(void *argument) {
  (void)argument;
  pthread_cancel(pthread_self());
  CHECK(take(0x20, 0) == WF_OK);
  CHECK(give(0x20, 0) == WF_OK);
  CHECK(wf_flush() == 0);
  CHECK(wf_dump_culprits(-1) < 0);
  pthread_testcancel();
  return NULL;
}

static void cancel(void) {
  pthread_t thread;
  void *result = NULL;
  CHECK(pthread_create(&thread, NULL, cancelled, NULL) == 0);
  CHECK(pthread_join(thread, &result) == 0);
  CHECK(result == PTHREAD_CANCELED);
}

static void on_signal(int number) {
  (void)number;
  CHECK(take(0x30, 0) == WF_OK);
  CHECK(give(0x30, 0) == WF_OK);
  CHECK(give(0x30, 0) == WF_ALREADY_FREED);
}

/* A handler on the smallest alternate stack that programs use, with a guard page below. */
static void small_stack(void) {
  enum { SIZE = 8192, PAGE = 4096 };
  char *memory = mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED && mprotect(memory, PAGE, PROT_NONE) == 0);
  stack_t stack = {.ss_sp = memory + PAGE, .ss_size = SIZE};
  CHECK(sigaltstack(&stack, NULL) == 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  for (int i = 0; i < 100; i++) CHECK(raise(SIGUSR1) == 0);
}

/* Buffers that a device takes with it and that nobody frees, again and again; then a plain double free. */
static void resets(void) {
  for (uint64_t owner = 1; owner <= 4200; owner++) {
    CHECK(take(0x40, owner) == WF_OK);
    wf_device_reset(1);
  }
  CHECK(take(0x40, 5001) == WF_OK);
  CHECK(give(0x40, 5001) == WF_OK);
  CHECK(give(0x40, 5001) == WF_ALREADY_FREED);
}

/* More owners at one address than there is room for: whoever is right must not be accused. */
static void crowd(void) {
  for (uint64_t owner = 1; owner <= 5000; owner++) CHECK(take(0x50, owner) == WF_OK);
  for (uint64_t owner = 1; owner <= 5000; owner++) {
    wf_verdict verdict = give(0x50, owner);
    CHECK(verdict == WF_OK || (owner > 4000 && verdict == WF_UNKNOWN));
  }
}

/* Buffers that signal handlers hand out while the thread is in an event, or in one of another handler's. */
static volatile sig_atomic_t handed_out[2], is_over;
static volatile unsigned long handlers;

static void hand_out(int number) {
  const int which = number == SIGUSR2;
  if (handed_out[which]) return;
  /* Long enough to be interrupted by the other signal. */
  for (uint64_t i = 0; i < 20; i++) {
    CHECK(take(0x7100 + 0x100u * (unsigned)which + i, 0) == WF_OK);
    wf_verdict verdict = give(0x7100 + 0x100u * (unsigned)which + i, 0);
    CHECK(wf_should_forward(verdict));
  }
  CHECK(take(0x7000 + (uint64_t)which, which ? 7 : 0) == WF_OK);
  handed_out[which] = 1;
  handlers++;
}

static void *signal_main(void *main_thread) {
  for (unsigned i = 0; !is_over; i++) {
    pthread_kill(*(pthread_t *)main_thread, i % 3 ? SIGUSR1 : SIGUSR2);
    usleep(20);
  }
  return NULL;
}

/* Every free here is rightful. With one signal nothing is lost at all. */
static void handlers_that_allocate(int signals) {
  struct sigaction action = {.sa_handler = hand_out};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  if (signals == 1) action.sa_handler = SIG_IGN;
  CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
  pthread_t self = pthread_self(), thread;
  CHECK(pthread_create(&thread, NULL, signal_main, &self) == 0);
  for (uint64_t i = 0; handlers < 500; i++) {
    CHECK(take(0x6000 + i % 100, i + 1) == WF_OK);
    CHECK(give(0x6000 + i % 100, i + 1) == WF_OK);
    for (int which = 0; which < 2; which++) {
      if (!handed_out[which]) continue;
      wf_verdict verdict = give(0x7000 + (uint64_t)which, which ? 7 : 0);
      CHECK(verdict == WF_OK || (signals == 2 && verdict == WF_UNKNOWN));
      handed_out[which] = 0;
    }
  }
  is_over = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  for (int which = 0; which < 2; which++) {
    if (handed_out[which]) CHECK(wf_should_forward(give(0x7000 + (uint64_t)which, which ? 7 : 0)));
  }
}

static int full_pipe[2];

static void *dump_into_pipe(void *argument) {
  (void)argument;
  wf_dump_culprits(full_pipe[1]);
  return NULL;
}

/* A report goes where nobody reads, and does not come back. */
static void stuck(void) {
  static const char zeros[4096];
  CHECK(pipe(full_pipe) == 0 && fcntl(full_pipe[1], F_SETPIPE_SZ, (int)sizeof zeros) > 0);
  while (fcntl(full_pipe[1], F_SETFL, O_NONBLOCK) == 0 && write(full_pipe[1], zeros, sizeof zeros) > 0) {
  }
  CHECK(fcntl(full_pipe[1], F_SETFL, 0) == 0);
  pthread_t thread;
  CHECK(take(0x80, 0) == WF_OK);
  CHECK(pthread_create(&thread, NULL, dump_into_pipe, NULL) == 0);
  usleep(300000);
}

static int users[2];
static volatile unsigned long calls, mismatched;

static void first_callback(const wf_excess *event, void *user) {
  (void)event;
  calls++;
  if (user != &users[0]) mismatched++;
}

static void second_callback(const wf_excess *event, void *user) {
  (void)event;
  calls++;
  if (user != &users[1]) mismatched++;
}

static void *change_callbacks(void *argument) {
  (void)argument;
  while (!is_over) {
    wf_on_excess(first_callback, &users[0]);
    wf_on_excess(second_callback, &users[1]);
  }
  return NULL;
}

/* One thread frees in excess while another one goes to and fro between two callbacks. */
static void callbacks(void) {
  pthread_t thread;
  wf_on_excess(first_callback, &users[0]);
  CHECK(pthread_create(&thread, NULL, change_callbacks, NULL) == 0);
  CHECK(take(0x90, 7) == WF_OK && give(0x90, 7) == WF_OK);
  for (int i = 0; i < 50000; i++) CHECK(give(0x90, 7) == WF_ALREADY_FREED);
  is_over = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(calls == 50000 && mismatched == 0);
  wf_on_excess(NULL, NULL);
}

/* The host keeps every file from being opened before the first event, or removes the trace. */
static void no_descriptors(void) {
  struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* The trace that is written in the current folder, under the name that it has until the end. */
static void remove_trace(void) {
  CHECK(take(0xa0, 0) == WF_OK);
  glob_t found;
  CHECK(glob(".whofreed-*", 0, NULL, &found) == 0 && found.gl_pathc == 1);
  CHECK(unlink(found.gl_pathv[0]) == 0);
  globfree(&found);
}

/* A plugin that the host names by a relative path; see hazards_plugin.c. */
static void plugin(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL);
  void (*work)(void);
  *(void **)&work = dlsym(library, "plugin_work");
  CHECK(work != NULL);
  work();
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "many";
  if (!strcmp(mode, "many")) many();
  if (!strcmp(mode, "cancel")) cancel();
  if (!strcmp(mode, "small_stack")) small_stack();
  if (!strcmp(mode, "resets")) resets();
  if (!strcmp(mode, "crowd")) crowd();
  if (!strcmp(mode, "handler")) handlers_that_allocate(1);
  if (!strcmp(mode, "handlers")) handlers_that_allocate(2);
  if (!strcmp(mode, "callbacks")) callbacks();
  if (!strcmp(mode, "no_descriptors")) no_descriptors();
  if (!strcmp(mode, "remove")) remove_trace();
  if (!strcmp(mode, "stuck")) stuck();
  if (!strcmp(mode, "plugin") && argc > 2) plugin(argv[2]);
  CHECK(take(0x60, 0) == WF_OK);
  CHECK(give(0x60, 0) == WF_OK);
  wf_verdict verdict = give(0x60, 0);
  /* A host whose address space is too small even for us is let alone. */
  CHECK(verdict == WF_ALREADY_FREED);
  wf_stats_t stats;
  wf_stats(&stats);
  printf("{\"host\": \"hazards\", \"excess\": %llu}\n", (unsigned long long)stats.excess);
  return 0;
}
