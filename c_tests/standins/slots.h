/* What the stand-ins of device runtimes hand out: addresses without memory. What was freed last is handed out next, as by
 * pools of devices; what is not handed out cannot be freed. */
#ifndef SLOTS_H
#define SLOTS_H

#include <stddef.h>
#include <stdint.h>

#define SLOT_COUNT 4096
#define SLOT_SIZE ((uint64_t)1 << 20)

struct slots {
  uint64_t base;
  unsigned used, free_count;
  unsigned char is_taken[SLOT_COUNT];
  unsigned free[SLOT_COUNT];
};

/* 0 where there is no room. */
static inline uint64_t slots_take(struct slots *slots, size_t size) {
  unsigned slot;
  if (size == 0 || size > SLOT_SIZE) {
    return 0;
  }
  if (slots->free_count > 0) {
    slot = slots->free[--slots->free_count];
  } else if (slots->used < SLOT_COUNT) {
    slot = slots->used++;
  } else {
    return 0;
  }
  slots->is_taken[slot] = 1;
  return slots->base + slot * SLOT_SIZE;
}

static inline int slots_give(struct slots *slots, uint64_t address) {
  uint64_t slot = (address - slots->base) / SLOT_SIZE;
  if (address < slots->base || slot >= slots->used || address % SLOT_SIZE != 0 || !slots->is_taken[slot]) {
    return 0;
  }
  slots->is_taken[slot] = 0;
  slots->free[slots->free_count++] = (unsigned)slot;
  return 1;
}

static inline void slots_reset(struct slots *slots) {
  for (uint64_t slot = slots->used; slot > 0; --slot) {
    (void)slots_give(slots, slots->base + (slot - 1) * SLOT_SIZE);
  }
}

#endif
