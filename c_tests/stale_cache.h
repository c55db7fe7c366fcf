/* A cache that takes entries for full which have been given back by those who used them: it gives back once more what
 * somebody else has by then, or nobody. What it does is random enough for the log to tell who the culprit is. */
#ifndef STALE_CACHE_H
#define STALE_CACHE_H

#include <stdint.h>

#define ROUNDS 3000
#define SLOTS 6

static uint64_t (*take_one)(void);
static void (*give_one)(uint64_t handle);
static uint64_t cached[SLOTS], held[SLOTS];
static int is_cached[SLOTS];

/* Keeps a call from being the last thing that a function does, which would leave no frame of it. */
static void use(uint64_t handle) { __asm__ volatile("" : : "r"(handle) : "memory"); }

static unsigned chance(unsigned below) {
  static unsigned long long state = 20261126;
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (unsigned)(state >> 33) % below;
}

__attribute__((noinline)) void fill_cache(int slot) {
  cached[slot] = take_one();
  is_cached[slot] = 1;
}

__attribute__((noinline)) void use_and_give(int slot) {
  give_one(cached[slot]);
  use(cached[slot]);
  is_cached[slot] = 0;
}

/* The culprit. */
__attribute__((noinline)) void evict_stale(int slot) {
  give_one(cached[slot]);
  use(cached[slot]);
}

/* Innocent: what it gives back may be gone already, since the cache remembers the handle. */
__attribute__((noinline)) void somebody_takes(int slot) { held[slot] = take_one(); }

__attribute__((noinline)) void somebody_gives(int slot) {
  give_one(held[slot]);
  use(held[slot]);
  held[slot] = 0;
}

/* How many were given back once too often. */
static unsigned long long stale_cache(uint64_t (*take)(void), void (*give)(uint64_t handle)) {
  unsigned long long excess = 0;
  take_one = take;
  give_one = give;
  for (int round = 0; round < ROUNDS; ++round) {
    int slot = (int)chance(SLOTS);
    if (chance(2) == 0) {
      if (held[slot] == 0) {
        somebody_takes(slot);
      } else {
        somebody_gives(slot);
      }
    } else if (is_cached[slot]) {
      use_and_give(slot);
    } else if (cached[slot] != 0 && chance(4) == 0) {
      ++excess;
      evict_stale(slot);
      cached[slot] = 0;
    } else {
      fill_cache(slot);
    }
  }
  for (int slot = 0; slot < SLOTS; ++slot) {
    if (is_cached[slot]) {
      use_and_give(slot);
    }
    if (held[slot] != 0) {
      somebody_gives(slot);
    }
  }
  return excess;
}

#endif
