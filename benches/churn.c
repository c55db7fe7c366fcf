// What a recorder of every malloc and free costs: `churn THREADS PAIRS [cross]`.
//
// Each thread allocates through twenty frames, keeps 256 blocks, and frees the oldest through as many. The path through the frames is chosen
// anew for each call, so that there are 48 different stacks; no function is inlined and none has a frame pointer. With `cross`
// half of the threads allocate, and hand the blocks to the other half, who free them. Prints one line: how many events there were, how long
// the loop took in nanoseconds on the wall and on the process's processors, and the most memory in KiB.

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

#define APART __attribute__((noinline, noclone))
#define HERE __asm__ volatile("" ::: "memory")

enum { KEPT = 256, PASSED_ON = 1024 };

struct call {
  uint64_t path;
  size_t size;
  void *block;
  int is_free;
};

// The ends of the stacks: four that allocate, two that free.
#define ALLOCATES(number) \
  APART static void allocates_##number(struct call *call) { \
    call->block = malloc(call->size + number); \
    *(volatile char *)call->block = 1; \
    HERE; \
  }
#define FREES(number) \
  APART static void frees_##number(struct call *call) { \
    free(call->block); \
    HERE; \
  }
ALLOCATES(0) ALLOCATES(1) ALLOCATES(2) ALLOCATES(3) FREES(0) FREES(1)

APART static void last(struct call *call) {
  unsigned which = (unsigned)(call->path >> 3) & 3;
  if (call->is_free) {
    if (which & 1)
      frees_1(call);
    else
      frees_0(call);
  } else if (which == 0)
    allocates_0(call);
  else if (which == 1)
    allocates_1(call);
  else if (which == 2)
    allocates_2(call);
  else
    allocates_3(call);
  HERE;
}

// What lies between: each with something to do after its call, so that none is left by a jump.
#define THROUGH(name, next) \
  APART static void name(struct call *call) { \
    size_t before = call->size; \
    HERE; \
    next(call); \
    HERE; \
    call->size = before; \
  }
#define FORK(name, bit, left, right) \
  APART static void name(struct call *call) { \
    size_t before = call->size; \
    HERE; \
    if (call->path >> bit & 1) \
      left(call); \
    else \
      right(call); \
    HERE; \
    call->size = before; \
  }
THROUGH(level_14, last)
THROUGH(level_13, level_14)
THROUGH(level_12, level_13)
THROUGH(level_11_left, level_12)
THROUGH(level_11_right, level_12)
FORK(level_10, 2, level_11_left, level_11_right)
THROUGH(level_9, level_10)
THROUGH(level_8, level_9)
THROUGH(level_7_left, level_8)
THROUGH(level_7_right, level_8)
FORK(level_6, 1, level_7_left, level_7_right)
THROUGH(level_5, level_6)
THROUGH(level_4, level_5)
THROUGH(level_3_left, level_4)
THROUGH(level_3_right, level_4)
FORK(level_2, 0, level_3_left, level_3_right)
THROUGH(level_1, level_2)

static uint64_t next(uint64_t *random) {
  *random ^= *random << 13;
  *random ^= *random >> 7;
  *random ^= *random << 17;
  return *random;
}

static long pairs;
static atomic_int ready, started;

static void wait_for_all(void) {
  atomic_fetch_add(&ready, 1);
  while (!atomic_load(&started)) sched_yield();
}

static void *allocate(uint64_t *random) {
  uint64_t number = next(random);
  struct call call = {.path = number, .size = 16 + (number >> 8 & 0xfff), .is_free = 0};
  level_1(&call);
  return call.block;
}

static void release(uint64_t *random, void *block) {
  struct call call = {.path = next(random), .block = block, .is_free = 1};
  level_1(&call);
}

APART static void *own_blocks(void *number) {
  uint64_t random = 0x9e3779b97f4a7c15u * (uint64_t)(1 + (uintptr_t)number);
  void *kept[KEPT] = {0};
  wait_for_all();
  for (long pair = 0; pair < pairs; pair++) {
    void **place = &kept[pair % KEPT];
    if (*place != NULL)
      release(&random, *place);
    *place = allocate(&random);
  }
  for (int place = 0; place < KEPT; place++)
    if (kept[place] != NULL)
      release(&random, kept[place]);
  return NULL;
}

// Blocks on their way from one thread to another.
struct channel {
  _Alignas(64) atomic_long put;
  _Alignas(64) atomic_long taken;
  void *blocks[PASSED_ON];
};
static struct channel channels[64];

APART static void *giver(void *number) {
  struct channel *channel = &channels[(uintptr_t)number];
  uint64_t random = 0x9e3779b97f4a7c15u * (uint64_t)(1 + (uintptr_t)number);
  wait_for_all();
  for (long pair = 0; pair < pairs; pair++) {
    while (pair - atomic_load(&channel->taken) >= PASSED_ON) sched_yield();
    channel->blocks[pair % PASSED_ON] = allocate(&random);
    atomic_store(&channel->put, pair + 1);
  }
  return NULL;
}

APART static void *taker(void *number) {
  struct channel *channel = &channels[(uintptr_t)number];
  uint64_t random = 0xd1b54a32d192ed03u * (uint64_t)(1 + (uintptr_t)number);
  wait_for_all();
  for (long pair = 0; pair < pairs; pair++) {
    while (pair >= atomic_load(&channel->put)) sched_yield();
    release(&random, channel->blocks[pair % PASSED_ON]);
    atomic_store(&channel->taken, pair + 1);
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 3)
    return 2;
  int threads = atoi(arguments[1]);
  pairs = atol(arguments[2]);
  int is_cross = count > 3 && strcmp(arguments[3], "cross") == 0;
  if (threads < 1 || threads > 64 || pairs < 1 || (is_cross && threads % 2))
    return 2;
  pthread_t all[64];
  for (uintptr_t thread = 0; thread < (uintptr_t)threads; thread++) {
    void *(*main_of)(void *) = !is_cross ? own_blocks : thread % 2 ? taker : giver;
    void *number = (void *)(is_cross ? thread / 2 : thread);
    if (pthread_create(&all[thread], NULL, main_of, number) != 0)
      return 1;
  }
  while (atomic_load(&ready) < threads) sched_yield();
  struct figures loop = measure();
  atomic_store(&started, 1);
  for (int thread = 0; thread < threads; thread++)
    pthread_join(all[thread], NULL);
  loop = since(loop);
  uint64_t events = 2 * (uint64_t)pairs * (uint64_t)(is_cross ? threads / 2 : threads);
  print_figures(events, loop);
  return 0;
}
