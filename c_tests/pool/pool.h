/* A pool of blocks, such as many programs have one: the library of docs/adapters-tutorial.md. It knows nothing of
 * whofreed. */
#ifndef POOL_H
#define POOL_H

#include <stddef.h>

/* A block of at least `size` bytes, at most 256; NULL when there is none left. The caller gives it back once. */
void *pool_take(size_t size);

/* Gives a block back. One that is not taken is passed over, as most pools do. */
void pool_give(void *block);

/* How many blocks are taken. */
size_t pool_taken(void);

#endif
