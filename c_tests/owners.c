/*
 * Many objects share the addresses of a small last-in-first-out pool; some keep their pointer after their free and
 * free again, when the address is dead or lives under somebody else. The host knows the truth of every free and
 * compares: WF_OK exactly for the legitimate ones. owners [guard] [ROUNDS]: with guard it forwards only what
 * should be forwarded, and its pool checks that nobody's buffer was ever taken from him.
 */
#include <string.h>

#include "check.h"
#include "whofreed.h"

enum { ADDRESSES = 64, OBJECTS = 1 << 16, BASE = 0x100000, STRIDE = 0x400 };

typedef struct {
  uint64_t address;
  uint64_t id;
  int holds; /* The truth: has the object a right to free? */
} object;

static object objects[OBJECTS];
static uint32_t made;
static uint64_t free_list[ADDRESSES];
static int free_count;
static uint64_t held_by[ADDRESSES]; /* The pool's own knowledge: the id at each address, 0 when free. */
static uint64_t random_state = 42;
static int guarded;
static long attempts, ok, forwarded, blocked, operator_frees, cache_frees;

static int should_forward(wf_verdict verdict) {
  return verdict != WF_ALREADY_FREED && verdict != WF_STALE_OWNER && verdict != WF_FOREIGN_OWNER;
}

static uint64_t *holder_at(uint64_t address) { return &held_by[(address - BASE) / STRIDE]; }

NOINLINE static void operator_allocate(void) {
  if (free_count == 0 || made == OBJECTS) {
    return;
  }
  object *fresh = &objects[made++];
  fresh->address = free_list[--free_count];
  fresh->id = made;
  fresh->holds = 1;
  *holder_at(fresh->address) = fresh->id;
  CHECK(wf_allocate(1, fresh->address, STRIDE, 0, fresh->id) == WF_OK);
}

/* The real free of the pool. Only a guarded host dares to call it for every free it forwards. */
static void pool_free(object *which) {
  uint64_t *holder = holder_at(which->address);
  CHECK(*holder == which->id);
  *holder = 0;
  free_list[free_count++] = which->address;
}

NOINLINE static void tracked_free(object *which) {
  const int legitimate = which->holds;
  const wf_verdict verdict = wf_deallocate(1, which->address, which->id);
  ++attempts;
  ok += verdict == WF_OK;
  CHECK((verdict == WF_OK) == legitimate);
  CHECK(legitimate || verdict == (*holder_at(which->address) == 0 ? WF_ALREADY_FREED : WF_STALE_OWNER));
  if (guarded ? should_forward(verdict) : legitimate) {
    ++forwarded;
    pool_free(which);
  } else if (guarded) {
    ++blocked;
  } else {
    ++forwarded; /* Forwarded to a runtime that puts up with it. */
  }
  which->holds = 0;
}

NOINLINE static void operator_free(object *which) {
  tracked_free(which);
  ++operator_frees; /* After the call, so that the frame is there to be seen. */
}

NOINLINE static void cache_evict(object *which) {
  tracked_free(which);
  ++cache_frees;
}

int main(int argc, char **argv) {
  long rounds = 40000;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "guard") == 0) {
      guarded = 1;
    } else {
      rounds = atol(argv[i]);
    }
  }
  for (; free_count < ADDRESSES; ++free_count) {
    free_list[free_count] = BASE + (uint64_t)free_count * STRIDE;
  }
  for (long round = 0; round < rounds; ++round) {
    const uint32_t dice = next_random(&random_state) % 100;
    if (dice < 45 || made == 0) {
      operator_allocate();
      continue;
    }
    /* Somebody of the last hundred: a holder frees, a cache frees what it should have forgotten. */
    const uint32_t window = made < 100 ? made : 100;
    object *which = &objects[made - 1 - next_random(&random_state) % window];
    if (which->holds) {
      operator_free(which);
    } else if (dice < 65) {
      cache_evict(which);
    }
  }
  for (uint32_t i = 0; i < made; ++i) {
    if (objects[i].holds) {
      operator_free(&objects[i]);
    }
  }
  CHECK(ok == (long)made && operator_frees == ok && cache_frees == attempts - ok);
  printf("{\"host\": \"owners\", \"allocations\": %u, \"deallocations\": %ld, \"ok\": %ld, \"excess\": %ld, "
         "\"forwarded\": %ld, \"blocked\": %ld}\n",
         (unsigned)made, attempts, ok, attempts - ok, forwarded, blocked);
  return 0;
}
