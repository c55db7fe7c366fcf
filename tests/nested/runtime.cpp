#include "store.hpp"

#include <stdexcept>

static void *own[2];

extern "C" {

void *runtime_take(std::size_t size) { return store_take(size); }
void runtime_give(void *block) { store_give(block); }
void *runtime_resize(void *block, std::size_t count, std::size_t size) { return store_resize(block, count * size); }

void *runtime_take_throwing(void **taken) {
    *taken = store_take(8);
    throw std::runtime_error("taken");
}

void *runtime_take_leaving(void **taken, void (*leave)()) {
    *taken = store_take(8);
    leave();
    return *taken;
}

void *runtime_take_first(std::size_t size) {
    void *scratch = store_take(8);
    for (void *&block : own) block = store_take(64);
    store_give(scratch);
    return store_take(size);
}

void runtime_shut_down() {
    for (void *block : own) store_give(block);
}

} // extern "C"
