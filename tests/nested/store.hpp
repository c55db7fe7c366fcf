// Two small runtimes that know nothing of whofreed, one upon the other, as a runtime API stands upon its driver.
#pragma once
#include <cstddef>

extern "C" {
// The lower one: a store that hands out an address again as soon as it was given back.
void *store_take(std::size_t size);
void store_give(void *block);
// Moves the block. 0 bytes give it back and return NULL, too many fail and leave it as it was.
void *store_resize(void *block, std::size_t size);
void *store_resize_or_throw(void *block, std::size_t size);
// Counted references: the last release gives the block back.
void store_retain(void *block);
void store_release(void *block);
// Called by store_resize when the old block is given back and before the new one is returned.
extern void (*store_moved)(void *old_block);

// The upper one: what its callers take and give are blocks of the store.
void *runtime_take(std::size_t size);
void runtime_give(void *block);
void *runtime_resize(void *block, std::size_t count, std::size_t size);
// Both leave after they took a block, by an exception or by what `leave` does.
void *runtime_take_throwing(void **taken);
void *runtime_take_leaving(void **taken, void (*leave)());
// Takes blocks of its own before it takes one for its caller; runtime_shut_down gives them back.
void *runtime_take_first(std::size_t size);
void runtime_shut_down();
}
