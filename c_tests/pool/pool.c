#include "pool.h"

enum { BLOCKS = 64, BLOCK_SIZE = 256 };

static union {
    char bytes[BLOCK_SIZE];
    max_align_t aligned;
} blocks[BLOCKS];
static unsigned char is_taken[BLOCKS];
/* What was given back last is handed out first, since it is still in the cache. */
static int free_list[BLOCKS];
static int free_count = -1;

void *pool_take(size_t size) {
    if (free_count < 0) {
        for (free_count = 0; free_count < BLOCKS; free_count++) {
            free_list[free_count] = BLOCKS - 1 - free_count;
        }
    }
    if (size > BLOCK_SIZE || free_count == 0) {
        return NULL;
    }
    int block = free_list[--free_count];
    is_taken[block] = 1;
    return &blocks[block];
}

void pool_give(void *block) {
    if (block == NULL) {
        return;
    }
    ptrdiff_t place = ((char *)block - blocks[0].bytes) / BLOCK_SIZE;
    if (is_taken[place]) {
        is_taken[place] = 0;
        free_list[free_count++] = (int)place;
    }
}

size_t pool_taken(void) {
    return free_count < 0 ? 0 : (size_t)(BLOCKS - free_count);
}
