// Prints what a call takes, in nanoseconds, and what it takes to start a process, in microseconds: the least of many tries.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

int pool_plain(long), pool_tail(long), pool_call(long), pool_wide(long), pool_versioned(long);
extern char **environ;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void calls(const char *name, int (*function)(long)) {
  double least = 1e18;
  for (int try = 0; try < 30; try++) {
    double begin = now();
    for (long number = 0; number < 200000; number++) {
      function(number);
    }
    double took = (now() - begin) / 200000;
    least = took < least ? took : least;
  }
  printf("%s=%.1f\n", name, least);
}

int main(int count, char **words) {
  void *pool = dlopen(words[count - 1], RTLD_NOW);
  int (*found)(long) = pool ? (int (*)(long))dlvsym(pool, "pool_versioned", "POOL_1") : 0;
  if (!found) {
    return 9;
  }
  calls("plain", pool_plain);
  calls("tail", pool_tail);
  calls("call", pool_call);
  calls("wide", pool_wide);
  calls("caller", pool_versioned);
  calls("pointer", found);
  double least = 1e18;
  for (int try = 0; try < 200; try++) {
    char *arguments[] = {"true", 0};
    pid_t child;
    double begin = now();
    if (posix_spawn(&child, "/bin/true", 0, 0, arguments, environ) != 0 || waitpid(child, 0, 0) != child) {
      return 9;
    }
    double took = (now() - begin) / 1000;
    least = took < least ? took : least;
  }
  printf("start=%.0f\n", least);
  return 0;
}
