/*
 * A child inherits the ledger as its own: what it frees is freed in the child only, and what it inherited is never its
 * leak. The parent has 1 excess free and 1 leak, the child 2 excess frees and 1 leak, the grandchild 1 excess free.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

enum { KEPT = 0x1000, FREED_BY_ALL = 0x2000, FREED_BEFORE = 0x3000, OWN = 0x4000 };

static void expect_clean_exit(pid_t child) {
  int status = -1;
  CHECK(child > 0);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void grandchild(void) {
  CHECK(wf_deallocate(0, FREED_BY_ALL, 2) == WF_ALREADY_FREED); /* Its parent did it before. */
  _exit(0);                                                     /* No exit handler of ours runs. */
}

static void child(void) {
  CHECK(wf_deallocate(0, FREED_BY_ALL, 2) == WF_OK);
  CHECK(wf_deallocate(0, FREED_BY_ALL, 2) == WF_ALREADY_FREED);
  CHECK(wf_deallocate(0, FREED_BEFORE, 3) == WF_ALREADY_FREED);
  const pid_t next = fork();
  if (next == 0) {
    grandchild();
  }
  expect_clean_exit(next);
  CHECK(wf_allocate(0, OWN, 64, 0, 4) == WF_OK); /* Leaked by the child. */
  exit(0);
}

int main(void) {
  CHECK(wf_allocate(0, KEPT, 64, 0, 1) == WF_OK);
  CHECK(wf_allocate(0, FREED_BY_ALL, 64, 0, 2) == WF_OK);
  CHECK(wf_allocate(0, FREED_BEFORE, 64, 0, 3) == WF_OK);
  CHECK(wf_deallocate(0, FREED_BEFORE, 3) == WF_OK);
  const pid_t forked = fork();
  if (forked == 0) {
    child();
  }
  expect_clean_exit(forked);
  CHECK(wf_deallocate(0, FREED_BY_ALL, 2) == WF_OK);
  CHECK(wf_deallocate(0, FREED_BY_ALL, 2) == WF_ALREADY_FREED);
  CHECK(wf_deallocate(0, OWN, 4) == WF_UNKNOWN); /* The child's buffer is not the parent's. */
  puts("{\"host\": \"fork\", \"excess\": 4, \"leaked\": 2}");
  return 0;
}
