/*
 * Preloaded, sets the clock of the day back or forth by a year whenever a process asks for it: what a machine's clock does
 * when it is set, without setting it. The monotonic clock goes on, as it does then. At the end it says how often it was asked.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { YEAR = 365 * 86400 };

static unsigned long asked;

int clock_gettime(clockid_t clock, struct timespec *to) {
  const int result = (int)syscall(SYS_clock_gettime, clock, to);
  if (clock == CLOCK_REALTIME && result == 0) {
    to->tv_sec += __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED) % 2 ? YEAR : -YEAR;
  }
  return result;
}

__attribute__((destructor)) static void tell(void) { dprintf(STDERR_FILENO, "asked for the day: %lu\n", asked); }
