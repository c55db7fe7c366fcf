// What events cost a host that switches stacks: `switch THREADS PAIRS COROUTINES`.
//
// Each thread has so many coroutines (swapcontext), each at home some fifteen frames deep on a stack of its own. They
// take turns: each frees its block, allocates another, and goes back to the thread's own stack, which does the same. No
// function is inlined and none has a frame pointer. PAIRS are all those of a thread. Prints the same line as churn.c.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#include "threads.h"

#define APART __attribute__((noinline, noclone))
#define HERE __asm__ volatile("" ::: "memory")

enum { DEPTH = 12, STACK = 64 * 1024, MOST = 1024 };

struct coroutine {
  ucontext_t inside, outside;
  char *stack;
};

static uint64_t pairs;
static unsigned coroutines;
static volatile int is_over;
static __thread struct coroutine *entered;

APART static void *allocates(size_t size) {
  void *block = malloc(size);
  *(volatile char *)block = 1;
  HERE;
  return block;
}

APART static void frees(void *block) {
  free(block);
  HERE;
}

APART static void turns(struct coroutine *self) {
  void *block = allocates(24);
  // As long as it is entered.
  while (!is_over) {
    frees(block);
    block = allocates(24);
    swapcontext(&self->inside, &self->outside);
  }
}

// Each has something to do after its call, so that none is left by a jump.
APART static void dives(struct coroutine *self, unsigned depth) {
  if (depth == 0)
    turns(self);
  else
    dives(self, depth - 1);
  HERE;
}

static void begins(void) { dives(entered, DEPTH); }

APART static void take_turns(struct coroutine *all, uint64_t count, unsigned depth) {
  if (depth > 0) {
    take_turns(all, count, depth - 1);
    HERE;
    return;
  }
  void *block = allocates(40);
  // A pair of the coroutine and one of the thread's own.
  for (uint64_t pair = 0; pair < count; pair += 2) {
    entered = &all[pair / 2 % coroutines];
    swapcontext(&entered->outside, &entered->inside);
    frees(block);
    block = allocates(40);
  }
  frees(block);
}

APART static void make(struct coroutine *one) {
  one->stack = malloc(STACK);
  if (one->stack == NULL || getcontext(&one->inside) != 0) abort();
  one->inside.uc_stack.ss_sp = one->stack;
  one->inside.uc_stack.ss_size = STACK;
  makecontext(&one->inside, begins, 0);
}

APART static void *switches(void *nothing) {
  struct coroutine *all = calloc(coroutines, sizeof *all);
  if (all == NULL) abort();
  for (unsigned number = 0; number < coroutines; number++) make(&all[number]);
  pthread_barrier_wait(&filled);
  take_turns(all, pairs, DEPTH);
  pthread_barrier_wait(&done);
  for (unsigned number = 0; number < coroutines; number++) free(all[number].stack);
  free(all);
  return nothing;
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  int threads = atoi(arguments[1]);
  pairs = strtoull(arguments[2], NULL, 10);
  coroutines = (unsigned)atoi(arguments[3]);
  if (threads < 1 || threads > MOST_THREADS || pairs < 2 || coroutines < 1 || coroutines > MOST) return 2;
  return measure_threads(threads, switches, 2 * pairs * (uint64_t)threads);
}
