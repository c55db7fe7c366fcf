/*
 * Changes who it is, in the ways that end a process or fail where another thread is in the way: credentials MODE.
 * Takes and gives back buffers of the heap before, between and behind.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <grp.h>
#include <errno.h>

#include "check.h"

enum { NOBODY = 65534, BUFFERS = 5000, CHANGES = 50 };

static void work(void) {
  for (int i = 0; i < BUFFERS; ++i) {
    /* The compiler must not take a pair of them out. */
    void *volatile buffer = malloc((size_t)i % 200 + 1);
    free(buffer);
  }
}

/* Keeps its capabilities beyond its user, raises them again, and uses one: as setpriv and container runtimes do. */
static void keep_capabilities(void) {
  CHECK(prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) == 0);
  CHECK(setreuid(NOBODY, NOBODY) == 0);
  work();
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  CHECK(syscall(SYS_capget, &header, data) == 0);
  data[0].effective = data[0].permitted;
  data[1].effective = data[1].permitted;
  CHECK(syscall(SYS_capset, &header, data) == 0);
  CHECK(setgroups(0, NULL) == 0);
  CHECK(getuid() == NOBODY && getgroups(0, NULL) == 0);
}

/* The kernel gives one only to a process of one thread. */
static void enter_namespace(void) {
  errno = 0x5a;
  const int code = unshare(CLONE_NEWUSER);
  printf("%d %d\n", code, code == 0 ? 0x5a : errno);
  CHECK(code != 0 || errno == 0x5a);
}

static atomic_int stop;

static void *keep_working(void *argument) {
  while (!atomic_load(&stop)) {
    work();
  }
  return argument;
}

/* All threads have to follow, while they record. */
static void change_under_threads(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_create(&threads[i], NULL, keep_working, NULL) == 0);
  }
  const uid_t user = geteuid();
  for (int i = 0; i < CHANGES; ++i) {
    errno = 0x5a;
    CHECK(seteuid(user == 0 ? NOBODY : user) == 0 && errno == 0x5a);
    CHECK(seteuid(user) == 0 && errno == 0x5a);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

/* The kernel kills the thread, and so the process, which has no other. */
static void be_killed(void) {
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
  getppid();
}

/* A child that shares our memory is another process, of one thread. */
static void change_in_vfork(void) {
  for (int i = 0; i < CHANGES; ++i) {
    const pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
      _exit(setgid(getgid()) == 0 ? 3 : 4);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  work();
  if (strcmp(mode, "capabilities") == 0) {
    keep_capabilities();
  } else if (strcmp(mode, "namespace") == 0) {
    enter_namespace();
  } else if (strcmp(mode, "threads") == 0) {
    change_under_threads();
  } else if (strcmp(mode, "strict") == 0) {
    be_killed();
  } else if (strcmp(mode, "vfork") == 0) {
    change_in_vfork();
  } else {
    CHECK(0);
  }
  work();
  puts("done");
  return 7;
}
