/*
 * Frees through functions that optimized code takes off the stack. One line calls both the rightful owner, which frees
 * through `keep`, and the one that frees again, through `evict`; all of them end in a jump.
 */
#include "whofreed.h"

#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noinline, noclone))
#endif

enum { ROUNDS = 60, EACH = 5 };

KEPT void device_free(uint64_t address, uint64_t owner) { wf_deallocate(0, address, owner); }

KEPT void evict(uint64_t address, uint64_t owner) { device_free(address + 1, owner); }

KEPT void keep(uint64_t address, uint64_t owner) { device_free(address + 2, owner); }

int main(void) {
  uint64_t round;
  for (round = 1; round <= ROUNDS; round++) {
    const uint64_t at = 4096 * round;
    wf_allocate(0, at, 64, 0, round);
    keep(at - 2, round), round % EACH == 0 ? evict(at - 1, round) : (void)0;
  }
  return 0;
}
