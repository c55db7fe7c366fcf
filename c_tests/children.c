/*
 * Runs itself as many times as it is told, with its own environment: children COUNT. Each child records an allocation;
 * the parent two for each child, around it, and one excess free at the end.
 *
 * children namespace: the first process of a namespace of processes makes another one in it, whose first process has the
 * same number. Each of the two allocates and frees PAIRS buffers.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

static void take(uint64_t number) {
  wf_allocate(0, 0x1000 * number, 64, 0, number);
}

enum { PAIRS = 20000 };

static void take_and_give(void) {
  for (uint64_t number = 1; number <= PAIRS; ++number) {
    wf_allocate(0, 0x1000 * number, 64, 0, number);
    CHECK(wf_deallocate(0, 0x1000 * number, number) == WF_OK);
  }
}

static int child_of_the_same_number(void) {
  CHECK(getpid() == 1);
  take_and_give();
  CHECK(unshare(CLONE_NEWPID) == 0);
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(getpid() == 1);
    take_and_give();
    return 0;
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "namespace") == 0) {
    return child_of_the_same_number();
  }
  const long count = argc > 1 ? atol(argv[1]) : 0;
  if (count == 0) {
    take(1);
    return 0;
  }
  for (long child = 0; child < count; ++child) {
    take((uint64_t)(2 * child + 1));
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      execl("/proc/self/exe", argv[0], "0", (char *)NULL);
      _exit(1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    take((uint64_t)(2 * child + 2));
  }
  wf_deallocate(0, 0x1000, 1);
  wf_deallocate(0, 0x1000, 1);
  return 0;
}
