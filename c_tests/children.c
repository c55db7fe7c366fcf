/*
 * Runs itself as many times as it is told, with its own environment: children COUNT. Each child records an allocation;
 * the parent two for each child, around it, and one excess free at the end.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

static void take(uint64_t number) {
  wf_allocate(0, 0x1000 * number, 64, 0, number);
}

int main(int argc, char **argv) {
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
