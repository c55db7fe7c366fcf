/* The library of the hosts that know nothing of whofreed. See pool.toml. */
#include <stdint.h>

void pool_take(uint64_t address, uint64_t size, uint64_t owner);
int pool_give(uint64_t address, uint64_t owner);

static volatile uint64_t last;

void pool_take(uint64_t address, uint64_t size, uint64_t owner) { last = address + size + owner; }

int pool_give(uint64_t address, uint64_t owner) {
  last = address + owner;
  return 1;
}
