// One case per argument: uses the store in every way and says what a report has to say.
#include "store.hpp"

#include <atomic>
#include <csetjmp>
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

// Each call of the runtime is one of the store as well.
void layers() {
    void *a = runtime_take(8);
    CHECK(runtime_take(huge) == nullptr);
    runtime_give(a);
    runtime_give(a); // excess
    void *b = store_take(8);
    runtime_give(b);
    void *c = runtime_resize(nullptr, 2, 8);
    void *d = runtime_resize(c, 4, 8);
    CHECK(d != nullptr && runtime_resize(d, huge, 1) == nullptr); // gives back and takes again
    store_give(d);
    store_give(d); // excess
    std::puts("{\"allocations\": 5, \"ok\": 5, \"excess\": 2, \"unknown\": 0, \"leaked\": 0}");
}

// What a runtime takes for itself is its own, and is given back when nobody calls it.
void own_blocks() {
    void *a = runtime_take_first(8);
    runtime_give(a);
    runtime_shut_down();
    std::puts("{\"allocations\": 4, \"ok\": 4, \"excess\": 0, \"unknown\": 0, \"leaked\": 0}");
}

jmp_buf back;
[[noreturn]] void jump() { longjmp(back, 1); }

__attribute__((noinline)) void deeper(int depth, void *block) {
    if (depth > 0) {
        deeper(depth - 1, block);
        asm volatile("" ::: "memory");
        return;
    }
    // The store's own calls count again, the first and the second: the call that was left is not around them.
    store_give(block);
    store_give(block); // excess
    void *other = store_take(8);
    CHECK(other == block);
    runtime_give(other);
    runtime_give(other); // excess
    store_give(runtime_take(8));
}

// The outer call is left by an exception, also on the way out of a callback.
void throwing() {
    for (int n = 0; n < 10; n++) {
        void *taken = nullptr;
        try {
            runtime_take_throwing(&taken);
            CHECK(false);
        } catch (const std::runtime_error &) {
        }
        deeper(n, taken);
    }
    std::puts("{\"allocations\": 30, \"ok\": 30, \"excess\": 20, \"unknown\": 0, \"leaked\": 0}");
}

void jumping() {
    static void *taken = nullptr;
    for (volatile int n = 0; n < 10; n++) {
        if (setjmp(back) == 0) runtime_take_leaving(&taken, jump);
        deeper(n, taken);
    }
    std::puts("{\"allocations\": 30, \"ok\": 30, \"excess\": 20, \"unknown\": 0, \"leaked\": 0}");
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
    if (name == "layers") layers();
    if (name == "own_blocks") own_blocks();
    if (name == "throwing") throwing();
    if (name == "jumping") jumping();
    return 0;
}
