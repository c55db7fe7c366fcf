// How the cost of an event grows: `grow THREADS PAIRS KEPT DEPTH STACKS`.
//
// Each thread keeps KEPT blocks, and frees one after the other and allocates another in its place. DEPTH frames of the
// host lie between the C library's two, no function is inlined and none has a frame pointer. The path through them is
// chosen anew for each call, so that there are STACKS different stacks (a power of two), half of them of allocates. The
// blocks are there before the clock starts, and go after it has stopped. Prints the same line as churn.c.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "threads.h"

#define APART __attribute__((noinline, noclone))
#define HERE __asm__ volatile("" ::: "memory")

// The thread's own function, what it calls, the level that is no fork any more, and what calls the C library.
enum { FIXED = 4, DEEPEST = 500, NEVER = 63 };

struct call {
  uint64_t path;
  size_t size;
  void *block;
};

static uint64_t pairs, kept;
static unsigned levels, choices;
// Which bit of the path each level looks at: the choices lie evenly between the thread's function and the call.
static unsigned char bit_of[DEEPEST];

APART static void allocates(struct call *call) {
  call->block = malloc(call->size);
  *(volatile char *)call->block = 1;
  HERE;
}

APART static void frees(struct call *call) {
  free(call->block);
  HERE;
}

// Each has something to do after its call, so that none is left by a jump.
#define LEVEL(name, end, left, right) \
  APART static void name(struct call *call, unsigned level) { \
    size_t before = call->size; \
    HERE; \
    if (level == levels) \
      end(call); \
    else if (call->path >> bit_of[level] & 1) \
      left(call, level + 1); \
    else \
      right(call, level + 1); \
    HERE; \
    call->size = before; \
  }
static void allocate_right(struct call *call, unsigned level);
LEVEL(allocate_left, allocates, allocate_left, allocate_right)
LEVEL(allocate_right, allocates, allocate_left, allocate_right)
static void free_right(struct call *call, unsigned level);
LEVEL(free_left, frees, free_left, free_right)
LEVEL(free_right, frees, free_left, free_right)

static uint64_t next(uint64_t *random) {
  *random ^= *random << 13;
  *random ^= *random >> 7;
  *random ^= *random << 17;
  return *random;
}

static uint64_t path(uint64_t number) { return number >> 16 & (((uint64_t)1 << choices) - 1); }

APART static void *allocate(uint64_t *random) {
  uint64_t number = next(random);
  struct call call = {.path = path(number), .size = 16 + (number >> 8 & 0xff)};
  allocate_left(&call, 0);
  return call.block;
}

APART static void release(uint64_t *random, void *block) {
  struct call call = {.path = path(next(random)), .block = block};
  free_left(&call, 0);
}

APART static void *churn(void *number) {
  uint64_t random = 0x9e3779b97f4a7c15u * (uint64_t)(1 + (uintptr_t)number);
  void **blocks = calloc(kept, sizeof(void *));
  if (blocks == NULL) abort();
  for (uint64_t place = 0; place < kept; place++) blocks[place] = allocate(&random);
  pthread_barrier_wait(&filled);
  for (uint64_t pair = 0; pair < pairs; pair++) {
    // Not one behind the other in memory.
    void **place = &blocks[pair * 7919 % kept];
    release(&random, *place);
    *place = allocate(&random);
  }
  pthread_barrier_wait(&done);
  for (uint64_t place = 0; place < kept; place++) release(&random, blocks[place]);
  free(blocks);
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 6) return 2;
  int threads = atoi(arguments[1]);
  pairs = strtoull(arguments[2], NULL, 10);
  kept = strtoull(arguments[3], NULL, 10);
  unsigned depth = (unsigned)atoi(arguments[4]), stacks = (unsigned)atoi(arguments[5]);
  if (threads < 1 || threads > MOST_THREADS || pairs < 1 || kept < 1 || kept % 7919 == 0) return 2;
  if (depth <= FIXED || depth > DEEPEST || stacks < 2 || (stacks & (stacks - 1)) != 0) return 2;
  levels = depth - FIXED;
  while (stacks >> (choices + 1) > 1) choices++;
  if (choices > levels) return 2;
  for (unsigned level = 0; level < levels; level++) bit_of[level] = NEVER;
  for (unsigned choice = 0; choice < choices; choice++) bit_of[choice * levels / choices] = (unsigned char)choice;
  return measure_threads(threads, churn, 2 * pairs * (uint64_t)threads);
}
