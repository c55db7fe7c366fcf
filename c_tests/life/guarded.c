/*
 * Threads take buffers from a pool and free them, as a program without a mistake does, by all functions of the C API that give
 * and take rights; a buffer that one thread has freed is another one's at once: guarded PAIRS [MISTAKES]. No free may be held
 * back. Then every thread frees buffers twice, and all of those have to be.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "../check.h"
#include "whofreed.h"

enum { THREADS = 4, BUFFERS = 64, DEVICES = 2 };

/* A pool without a lock: buffers that are free are 1. Few of them for many threads, so that each is used again at once. */
static struct {
  atomic_int is_free;
  char padding[60];
} pool[BUFFERS];
static atomic_uint_fast64_t blocked, missed, frees, mistakes_made, next_owner = 1000;
static uint64_t pairs_each, mistakes_each;

static uint64_t address_of(unsigned buffer) { return 0x100000u + buffer * 64u; }

static unsigned take(uint64_t *random) {
  for (;;) {
    const unsigned buffer = next_random(random) % BUFFERS;
    int expected = 1;
    if (atomic_load_explicit(&pool[buffer].is_free, memory_order_relaxed) == 1 &&
        atomic_compare_exchange_strong_explicit(&pool[buffer].is_free, &expected, 0, memory_order_acquire,
                                                memory_order_relaxed)) {
      return buffer;
    }
  }
}

static void give(unsigned buffer) { atomic_store_explicit(&pool[buffer].is_free, 1, memory_order_release); }

/* A free to which there is a right. */
static uint64_t legal(uint32_t device, uint64_t address, uint64_t owner) {
  const wf_verdict verdict = wf_deallocate(device, address, owner);
  if (!wf_should_forward(verdict)) {
    atomic_fetch_add(&blocked, 1);
    fprintf(stderr, "a legal free of owner %llu is held back: %d\n", (unsigned long long)owner, (int)verdict);
  }
  return 1;
}

/* A free to which there is none. */
static void excess(uint32_t device, uint64_t address, uint64_t owner) {
  atomic_fetch_add(&mistakes_made, 1);
  if (wf_should_forward(wf_deallocate(device, address, owner))) atomic_fetch_add(&missed, 1);
}

/* One life of a buffer, and how many frees it had. */
static uint64_t live(uint64_t random, uint64_t thread, uint64_t life) {
  const unsigned buffer = take(&random);
  const uint32_t device = buffer % DEVICES;
  const uint64_t address = address_of(buffer);
  uint64_t done = 0;
  switch (life % 16) {
    case 0: /* A unique owner. */
    case 1: {
      const uint64_t owner = (thread + 1) << 48 | life;
      wf_allocate(device, address, 64, 1, owner);
      done += legal(device, address, owner);
      break;
    }
    case 2: { /* Rights by retain, of the same owner. */
      const uint64_t owner = (thread + 1) << 48 | life;
      wf_allocate(device, address, 64, 2, owner);
      wf_retain(device, address, owner);
      done += legal(device, address, owner);
      done += legal(device, address, owner);
      break;
    }
    case 3: { /* The view frees what its root allocated. */
      const uint64_t owner = (thread + 1) << 48 | life;
      wf_allocate(device, address, 64, 3, owner);
      wf_view(device, address, owner + (1ull << 40), owner);
      done += legal(device, address, owner + (1ull << 40));
      break;
    }
    case 4: { /* A handle that is dead does not tell its address. */
      const uint64_t owner = (thread + 1) << 48 | life;
      wf_allocate(device, address, 64, 4, owner);
      done += legal(device, WF_ADDRESS_UNKNOWN, owner);
      break;
    }
    default: /* Nobody in particular. */
      wf_allocate(device, address, 64, 0, 0);
      done += legal(device, address, 0);
  }
  give(buffer);
  return done;
}

static void *work(void *argument) {
  const uint64_t thread = (uint64_t)(uintptr_t)argument;
  uint64_t random = thread + 1, done = 0;
  for (uint64_t life = 1; done < pairs_each; ++life) {
    next_random(&random);
    done += live(random, thread, life);
  }
  atomic_fetch_add(&frees, done);
  /* Mistakes: at once, and after the buffer has found another owner. */
  for (uint64_t mistake = 0; mistake < mistakes_each; ++mistake) {
    next_random(&random);
    const unsigned buffer = take(&random);
    const uint32_t device = buffer % DEVICES;
    const uint64_t address = address_of(buffer), owner = atomic_fetch_add(&next_owner, 2);
    wf_allocate(device, address, 64, 1, owner);
    legal(device, address, owner);
    excess(device, address, owner);
    excess(device, address, 0);
    wf_allocate(device, address, 64, 1, owner + 1);
    excess(device, address, owner);
    legal(device, address, owner + 1);
    wf_allocate(device, address, 64, 0, 0);
    legal(device, address, 0);
    excess(device, address, 0);
    atomic_fetch_add(&frees, 3);
    give(buffer);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  pairs_each = (uint64_t)atoll(argv[1]) / THREADS;
  mistakes_each = argc > 2 ? (uint64_t)atoll(argv[2]) / THREADS : 1000;
  for (int i = 0; i < BUFFERS; ++i) atomic_store(&pool[i].is_free, 1);
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; ++i) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  for (int i = 0; i < THREADS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  wf_stats_t stats;
  wf_stats(&stats);
  CHECK(stats.excess == mistakes_made && stats.blocked == mistakes_made);
  printf("{\"frees\": %llu, \"blocked\": %llu, \"mistakes\": %llu, \"missed\": %llu}\n", (unsigned long long)frees,
         (unsigned long long)blocked, (unsigned long long)mistakes_made, (unsigned long long)missed);
  return 0;
}
