/*
 * A thread records while two timers at 1 kHz interrupt it, and each other, with handlers that allocate and free on an alternate stack
 * of 8 KiB: profiled NOTES CALLS. What a handler inside a handler loses is counted; all else is recorded.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "events.h"

enum { OF_A_HANDLER = 6 };

typedef struct {
  _Atomic uint64_t value;
  char padding[56];
} word;

/* What the test reads: the calls of the thread that have returned, and those of handlers. */
static word *notes;

static void handler(int number) {
  const uint64_t address = ((uint64_t)(5000 + number) << 32) + atomic_fetch_add(&notes[2].value, 1) % 64 * 64;
  for (int i = 0; i < OF_A_HANDLER / 2; ++i) {
#ifdef POOL
    pool_take(address, 64, 0);
    pool_give(address, 0);
#else
    (void)wf_allocate(0, address, 64, 0, 0);
    (void)wf_deallocate(0, address, 0);
#endif
    atomic_fetch_add(&notes[1].value, 2);
  }
}

int main(int argc, char **argv) {
  CHECK(argc > 2);
  alarm(240);
  const int file = open(argv[1], O_RDWR);
  CHECK(file >= 0);
  notes = mmap(NULL, 3 * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(notes != MAP_FAILED);
  enum { SIZE = 8192, PAGE = 4096 };
  char *memory = mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED && mprotect(memory, PAGE, PROT_NONE) == 0);
  const stack_t stack = {.ss_sp = memory + PAGE, .ss_size = SIZE};
  CHECK(sigaltstack(&stack, NULL) == 0);
  /* One of them has the small stack, on which there is no room for two; it interrupts the other one. */
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
  CHECK(sigaddset(&action.sa_mask, SIGVTALRM) == 0 && sigaction(SIGPROF, &action, NULL) == 0);
  struct sigaction other_action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGVTALRM, &other_action, NULL) == 0);
  /* The very first event makes the trace, for which a small stack has no room. */
  const uint64_t first = 100;
  for (uint64_t n = 1; n <= first; ++n) nth_event(0, n, (unsigned)n % 7);
  const struct itimerval every = {{0, 1000}, {0, 1000}}, other = {{0, 1000}, {0, 1500}}, never = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &other, NULL) == 0);
  const uint64_t calls = (uint64_t)atoll(argv[2]);
  for (uint64_t n = first + 1; n <= calls; ++n) {
    nth_event(0, n, (unsigned)n % 7);
    atomic_store(&notes[0].value, n);
  }
  CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
  return 0;
}
