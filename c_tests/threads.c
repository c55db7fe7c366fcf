/*
 * 8 threads share a pool of addresses; each allocates, and hands every buffer to the next thread, which frees it.
 * There is no bug in it: 400,000 allocations, 400,000 frees, nothing in excess, nothing leaked. The argument is the
 * number of allocations, if it is to be another.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "check.h"
#include "whofreed.h"

enum { THREADS = 8, ADDRESSES = 4096, MAILBOX = 128 };

typedef struct {
  uint64_t address;
  uint64_t owner;
} buffer;

typedef struct {
  pthread_mutex_t lock;
  buffer buffers[MAILBOX];
  int filled;
  int closed;
} mailbox;

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t pool[ADDRESSES];
static int pool_size;
static mailbox mailboxes[THREADS];
static atomic_uint_fast64_t next_owner = 1;
static long allocations_each = 400000 / THREADS;

NOINLINE static int pool_take(uint64_t *address) {
  pthread_mutex_lock(&pool_lock);
  const int found = pool_size > 0;
  if (found) {
    *address = pool[--pool_size];
  }
  pthread_mutex_unlock(&pool_lock);
  return found;
}

NOINLINE static void pool_give(uint64_t address) {
  pthread_mutex_lock(&pool_lock);
  pool[pool_size++] = address;
  pthread_mutex_unlock(&pool_lock);
}

/* What arrived is freed. Returns whether more can come. */
NOINLINE static int free_arrived(mailbox *box) {
  buffer arrived[MAILBOX];
  pthread_mutex_lock(&box->lock);
  const int count = box->filled;
  const int more = !box->closed;
  for (int i = 0; i < count; ++i) {
    arrived[i] = box->buffers[i];
  }
  box->filled = 0;
  pthread_mutex_unlock(&box->lock);
  for (int i = 0; i < count; ++i) {
    CHECK(wf_deallocate(0, arrived[i].address, arrived[i].owner) == WF_OK);
    pool_give(arrived[i].address);
  }
  return more;
}

static int hand_over(mailbox *box, buffer sent) {
  pthread_mutex_lock(&box->lock);
  const int room = box->filled < MAILBOX;
  if (room) {
    box->buffers[box->filled++] = sent;
  }
  pthread_mutex_unlock(&box->lock);
  return room;
}

static void *work(void *argument) {
  mailbox *own = argument;
  mailbox *next = &mailboxes[(own - mailboxes + 1) % THREADS];
  for (long done = 0; done < allocations_each;) {
    buffer made = {0, 0};
    if (pool_take(&made.address)) {
      made.owner = atomic_fetch_add(&next_owner, 1);
      CHECK(wf_allocate(0, made.address, 64, 0, made.owner) == WF_OK);
      while (!hand_over(next, made)) {
        free_arrived(own);
        sched_yield();
      }
      ++done;
    }
    if (done % 32 == 0) {
      free_arrived(own);
    }
  }
  pthread_mutex_lock(&next->lock);
  next->closed = 1;
  pthread_mutex_unlock(&next->lock);
  while (free_arrived(own)) {
    sched_yield();
  }
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[THREADS];
  if (argc > 1) {
    allocations_each = atol(argv[1]) / THREADS;
  }
  for (; pool_size < ADDRESSES; ++pool_size) {
    pool[pool_size] = 0x10000u + (uint64_t)pool_size * 64;
  }
  for (int i = 0; i < THREADS; ++i) {
    pthread_mutex_init(&mailboxes[i].lock, NULL);
  }
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, work, &mailboxes[i]) == 0);
  }
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  wf_stats_t stats;
  wf_stats(&stats);
  CHECK(stats.allocations == (uint64_t)allocations_each * THREADS);
  CHECK(stats.deallocations == stats.allocations);
  CHECK(stats.excess == 0 && stats.unknown == 0 && stats.live == 0 && stats.dropped_events == 0);
  printf("{\"host\": \"threads\", \"allocations\": %ld}\n", allocations_each * THREADS);
  return 0;
}
