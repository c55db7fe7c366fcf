// What the hosts of the benchmarks measure of their loop, and the line in which they print it.

#ifndef WHOFREED_BENCHES_FIGURES_H
#define WHOFREED_BENCHES_FIGURES_H

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct figures {
  uint64_t wall, processor;
};

static uint64_t clock_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct figures measure(void) {
  struct figures now = {clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
  return now;
}

static struct figures since(struct figures before) {
  struct figures now = measure();
  now.wall -= before.wall;
  now.processor -= before.processor;
  return now;
}

static void print_figures(uint64_t events, struct figures loop) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("events=%llu wall_ns=%llu cpu_ns=%llu peak_kib=%ld\n", (unsigned long long)events, (unsigned long long)loop.wall,
         (unsigned long long)loop.processor, usage.ru_maxrss);
}

#endif
