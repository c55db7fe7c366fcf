/* A pool for the suites of tests/pytest: the address that came back last is handed out first, and what is given back twice
 * is passed over, as most pools do. It knows nothing of whofreed. */
#include <stddef.h>
#include <stdint.h>

enum { BLOCKS = 256 };

static uint64_t free_list[BLOCKS];
static int free_count = -1;
static unsigned char is_taken[BLOCKS];
static uint64_t last_owner;

/* A number that no other holder of a buffer has. */
uint64_t pool_new_owner(void) {
    return ++last_owner;
}

/* The address of a buffer; `owner` is 0 where the program keeps no account. */
uint64_t pool_take(uint64_t owner) {
    (void)owner;
    if (free_count < 0) {
        for (free_count = 0; free_count < BLOCKS; free_count++) {
            free_list[free_count] = (uint64_t)(BLOCKS - 1 - free_count);
        }
    }
    if (free_count == 0) {
        return UINT64_MAX;
    }
    uint64_t place = free_list[--free_count];
    is_taken[place] = 1;
    return 0x1000 + place * 0x100;
}

/* How many buffers were given back, 0 or 1. */
int pool_give(uint64_t address, uint64_t owner) {
    (void)owner;
    uint64_t place = (address - 0x1000) / 0x100;
    if (place >= BLOCKS || !is_taken[place]) {
        return 0;
    }
    is_taken[place] = 0;
    free_list[free_count++] = place;
    return 1;
}
