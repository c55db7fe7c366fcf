/* A library that comes and goes: it calls back, so that it is on the stack of an event. */
#include <stdint.h>

void through(void (*event)(uint64_t, uint64_t, unsigned), uint64_t thread, uint64_t n);

/* What one has in place of another, where there are several. */
#ifndef NUMBER
#define NUMBER 0
#endif
int number_of_library(void);

int number_of_library(void) { return NUMBER; }

void through(void (*event)(uint64_t, uint64_t, unsigned), uint64_t thread, uint64_t n) {
  event(thread, n, 3);
  __asm__ volatile(""); /* No tail call. */
}
