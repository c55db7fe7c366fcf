/* Events of the hosts in this folder: calls of the C API, or, with POOL, of a library that pool.toml hooks. */
#ifndef WHOFREED_LIFE_EVENTS_H
#define WHOFREED_LIFE_EVENTS_H

#include <stdint.h>

#include "../check.h"

#ifdef POOL
void pool_take(uint64_t address, uint64_t size, uint64_t owner);
int pool_give(uint64_t address, uint64_t owner);
#define TAKE(address, size, owner) pool_take(address, size, owner)
#define GIVE(address, owner) ((void)pool_give(address, owner))
#else
#include "whofreed.h"
#define TAKE(address, size, owner) CHECK(wf_allocate(0, address, size, 0, owner) == WF_OK)
#define GIVE(address, owner) CHECK(wf_deallocate(0, address, owner) == WF_OK)
#endif

enum { THREADS = 8, LIVES = 512 };

/* The n-th event of a thread, n from 1 on: what it is follows from n, so that a reader can tell which ones are missing. The
 * odd ones allocate, the even ones free that again; addresses are used anew after LIVES of them. The stack is one of many. */
__attribute__((unused)) static NOINLINE void nth_event(uint64_t thread, uint64_t n, unsigned depth) {
  if (depth > 0) {
    nth_event(thread, n, depth - 1);
    __asm__ volatile(""); /* No tail call. */
    return;
  }
  const uint64_t pair = (n - 1) / 2;
  const uint64_t address = ((thread + 1) << 32) + pair % LIVES * 64;
#ifdef NOBODY
  const uint64_t owner = 0; /* Each owner is remembered for ever. */
#else
  const uint64_t owner = ((thread + 1) << 40) + pair + 1;
#endif
  if (n % 2) {
    TAKE(address, n, owner);
  } else {
    GIVE(address, owner);
  }
}

#endif
