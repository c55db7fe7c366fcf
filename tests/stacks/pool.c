// The runtime whose functions the torture host calls.

#include <stdint.h>

void pool_take(uint64_t address)
{
    __asm__ volatile("" : : "r"(address) : "memory");
}

void pool_give(uint64_t address)
{
    __asm__ volatile("" : : "r"(address) : "memory");
}
