// One case per argument: uses the store in every way and says what a report has to say.
#include "store.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::printf("host: line %d: " #condition "\n", __LINE__); \
            std::exit(9); \
        } \
    } while (0)

namespace {

constexpr std::size_t huge = std::size_t{1} << 40;

void resize() {
    void *a = store_take(8);
    void *b = store_resize(a, 16);
    CHECK(b != nullptr && b != a);
    void *c = store_resize(nullptr, 8); // an allocate alone
    CHECK(c == a);
    CHECK(store_resize(b, 0) == nullptr); // a deallocate alone
    store_give(c);
    store_give(c); // excess
    std::puts("{\"allocations\": 3, \"ok\": 3, \"excess\": 1, \"unknown\": 0, \"leaked\": 0}");
}

// What failed has changed nothing: the block can be given back once, and not twice.
void resize_fails() {
    void *a = store_take(8);
    for (int n = 0; n < 5; n++) CHECK(store_resize(a, huge) == nullptr);
    store_give(a);
    store_give(a); // excess
    void *b = store_take(8);
    int caught = 0;
    for (int n = 0; n < 5; n++) {
        try {
            store_resize_or_throw(b, huge);
        } catch (const std::runtime_error &) {
            caught++;
        }
    }
    CHECK(caught == 5);
    store_give(b);
    store_give(b); // excess
    // Each of the ten gives back and takes again.
    std::puts("{\"allocations\": 12, \"ok\": 12, \"excess\": 2, \"unknown\": 0, \"leaked\": 0}");
}

// A block that is given back already: what is handed out instead is nobody's fault.
void resize_twice() {
    void *a = store_take(8);
    store_give(a);
    void *b = store_resize(a, 8); // excess
    CHECK(b == a || b == nullptr);
    int forwarded = b != nullptr;
    std::printf("{\"forwarded\": %d}\n", forwarded);
}

std::atomic<void *> seen{nullptr};

// Another thread is handed the old address before the call has returned.
void take_meanwhile(void *old_block) {
    std::thread([old_block] {
        void *block = store_take(8);
        CHECK(block == old_block);
        seen = block;
    }).join();
}

void resize_in_threads() {
    void *a = store_take(8);
    store_moved = take_meanwhile;
    void *b = store_resize(a, 8);
    CHECK(seen == a);
    store_give(seen);
    store_give(b);
    std::printf("{\"allocations\": 3, \"ok\": 3, \"excess\": 0, \"leaked\": 0, \"address\": %zu}\n",
                reinterpret_cast<std::size_t>(a));
}

void references() {
    void *a = store_take(8);
    store_retain(a);
    store_release(a);
    store_release(a);
    store_release(a); // excess
    std::puts("{\"allocations\": 1, \"ok\": 2, \"excess\": 1, \"leaked\": 0}");
}

} // namespace

int main(int count, char **words) {
    CHECK(count > 1);
    const std::string name = words[1];
    if (name == "resize") resize();
    if (name == "resize_fails") resize_fails();
    if (name == "resize_twice") resize_twice();
    if (name == "resize_in_threads") resize_in_threads();
    if (name == "references") references();
    return 0;
}
