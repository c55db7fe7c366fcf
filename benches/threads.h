// Threads that prepare themselves and then begin at once, and the figures of what they do together.

#ifndef THREADS_H
#define THREADS_H

#include <pthread.h>
#include <stdint.h>

#include "figures.h"

#define MOST_THREADS 64

// Each thread waits at the first one when it is prepared, and at the second when it has done its part.
static pthread_barrier_t filled, done;

// Runs so many threads, each with its number from 1 on, and prints the figures of so many events.
static int measure_threads(int threads, void *(*thread)(void *), uint64_t events) {
  pthread_barrier_init(&filled, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&done, NULL, (unsigned)threads + 1);
  pthread_t all[MOST_THREADS];
  for (int number = 0; number < threads; number++)
    if (pthread_create(&all[number], NULL, thread, (void *)(uintptr_t)(number + 1)) != 0) return 1;
  pthread_barrier_wait(&filled);
  struct figures loop = measure();
  pthread_barrier_wait(&done);
  loop = since(loop);
  for (int number = 0; number < threads; number++) pthread_join(all[number], NULL);
  print_figures(events, loop);
  return 0;
}

#endif
