/* One mode for each thing that hosts do and that tools like this one stumble over. Every mode checks the verdicts, so it
 * fails when the tool is in the way. The last line is the host's own account. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
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
__attribute__((section(".preinit_array"), used)) static void (*const before_everybody)(void) = early;

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
