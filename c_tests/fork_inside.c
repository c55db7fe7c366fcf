/*
 * A signal handler forks, at times in the middle of an event: fork_inside [PAIRS]. The children return from the handler into that
 * event a little later, and end then.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

static volatile sig_atomic_t is_child, forks;

static void handler(int number) {
  (void)number;
  const int before = errno;
  if (!is_child && forks < 200) {
    ++forks;
    if (fork() == 0) {
      is_child = 1;
      usleep(20000);
    }
  }
  errno = before;
}

int main(int argc, char **argv) {
  const long pairs = argc > 1 ? atol(argv[1]) : 200000;
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval every = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
  for (long pair = 0; pair < pairs && !is_child; ++pair) {
    const uint64_t address = 0x100000 + (uint64_t)(pair % 500) * 16;
    wf_allocate(0, address, 16, 0, 1);
    if (is_child) {
      break;
    }
    wf_deallocate(0, address, 1);
  }
  if (is_child) {
    _exit(0);
  }
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  while (wait(NULL) > 0) {
  }
  printf("{\"pairs\": %ld, \"forks\": %d}\n", pairs, (int)forks);
  return 0;
}
