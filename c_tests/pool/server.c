/* A program with a planted bug, for docs/adapters-tutorial.md: `thumbnail_evict` gives back a block that `render_page`
 * has given back already. Mostly somebody else has it by then, whose own later give looks like the second one. */
#include "pool.h"

#include <stdio.h>
#include <string.h>

#define APART __attribute__((noinline))

static unsigned long state = 88172645463325252;

static unsigned random_below(unsigned bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % bound;
}

/* The picture of the page that was rendered last; whose block it is in, nobody wrote down. */
static void *thumbnail;

APART static void thumbnail_evict(void) {
    pool_give(thumbnail);
    thumbnail = NULL;
}

/* Requests that wait for their answer hold one block each. */
static void *requests[8];
static void *replies[8];

APART static void request_begin(unsigned slot) {
    requests[slot] = pool_take(200);
    memset(requests[slot], (int)slot, 200);
}

APART static void request_end(unsigned slot) {
    pool_give(requests[slot]);
    requests[slot] = NULL;
}

APART static void reply_begin(unsigned slot) {
    replies[slot] = pool_take(120);
    memset(replies[slot], (int)slot, 120);
}

APART static void reply_end(unsigned slot) {
    pool_give(replies[slot]);
    replies[slot] = NULL;
}

APART static void render_page(void) {
    void *page = pool_take(256);
    memset(page, 'p', 256);
    if (random_below(4) == 0) {
        thumbnail = page;
    }
    pool_give(page);
}

int main(void) {
    for (unsigned step = 0; step < 4000; step++) {
        unsigned slot = random_below(8);
        switch (random_below(4)) {
        case 0:
            if (requests[slot] == NULL) {
                request_begin(slot);
            } else {
                request_end(slot);
            }
            break;
        case 1:
            if (replies[slot] == NULL) {
                reply_begin(slot);
            } else {
                reply_end(slot);
            }
            break;
        case 2:
            render_page();
            break;
        default:
            if (thumbnail != NULL && random_below(8) == 0) {
                thumbnail_evict();
            }
        }
    }
    for (unsigned slot = 0; slot < 8; slot++) {
        if (requests[slot] != NULL) {
            request_end(slot);
        }
        if (replies[slot] != NULL) {
            reply_end(slot);
        }
    }
    printf("done; %zu blocks are taken\n", pool_taken());
    return 0;
}
