#include "toy.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <unistd.h>
#include <stdexcept>

namespace {

void fail(const char *what) {
    const char *head = "toy runtime: wrong arguments: ";
    (void)!write(2, head, std::strlen(head));
    (void)!write(2, what, std::strlen(what));
    std::abort();
}

alignas(64) char memory[1 << 20];
std::atomic<std::size_t> used{0};

void *carve() {
    std::size_t at = used.fetch_add(64);
    if (at >= sizeof memory) fail("too many blocks");
    return memory + at;
}

} // namespace

extern "C" {

void *toy_take(std::size_t size) {
    errno = 71;
    return size == 0 ? nullptr : carve();
}

void toy_give(void *) { errno = 72; }

void *toy_take_twelve(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l) {
    const int all[] = {a, b, c, d, e, f, g, h, i, j, k, l};
    for (int n = 0; n < 12; n++)
        if (all[n] != n + 1) fail("twelve");
    return carve();
}

int toy_give_twelve(void *, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l) {
    return b + 2 * c + 3 * d + 4 * e + 5 * f + 6 * g + 7 * h + 8 * i + 9 * j + 10 * k + 11 * l;
}

void *toy_take_listed(int count, ...) {
    va_list list;
    va_start(list, count);
    double sum = 0;
    for (int n = 0; n < count; n++) sum += va_arg(list, double) + va_arg(list, int);
    va_end(list);
    if (sum != count * 1.5) fail("listed");
    return carve();
}

void *toy_take_throwing(std::size_t size) {
    if (size > 100) throw std::runtime_error("too large");
    return carve();
}

void toy_give_throwing(void *block) {
    throw block;
}

void toy_take_leaving(void (*leave)(void *), void *argument) { leave(argument); }

int toy_frames(int) {
    void *frames[64];
    return backtrace(frames, 64);
}

} // extern "C"

namespace toy {

struct State {
    std::uint64_t id;
    void *address;
    int holders;
    bool live;
};

namespace {
std::atomic<std::uint64_t> ids{0};
bool is_open = true;
} // namespace

// Called with a buffer's identity, as a real runtime's tracker is.
void notify_taken(State *state, std::size_t size) __attribute__((visibility("default")));
void notify_given(State *state) __attribute__((visibility("default")));
std::uint64_t id_of(const State *state) __attribute__((visibility("default")));
std::uint64_t throw_always(const Handle *handle) __attribute__((visibility("default")));

std::uint64_t throw_always(const Handle *handle) { throw handle; }

__attribute__((noinline)) void notify_taken(State *, std::size_t) { asm volatile(""); }
__attribute__((noinline)) void notify_given(State *) { asm volatile(""); }
__attribute__((noinline)) std::uint64_t id_of(const State *state) {
    if (!state->live) throw std::logic_error("id of a dead buffer");
    return state->id;
}

Block take_block(std::size_t size) { return Block{carve(), size, 77}; }

Pair take_pair(double a, float b, long c, double d, double e, double f, double g, double h, double i, int j) {
    return Pair{a + b + static_cast<double>(c) + d + e + f, g + h + i + j};
}

Mixed take_mixed(void *, double by) { return Mixed{42, by * 2}; }

long double take_long(long double value) { return value * 2; }

void give_floating(void *, double a, double b, float c, double *sum) { *sum = a + b + static_cast<double>(c); }

Handle::Handle(std::size_t size) : state(new State{ids++, carve(), 1, true}) { notify_taken(state, size); }
Handle::Handle(State *shared) : state(shared) { state->holders++; }
bool Handle::is_live() const { return state->live; }
std::uint64_t Handle::owner() const { return id_of(state); }

void Handle::release(bool force) {
    if (!state->live || (state->holders > 1 && !force)) return;
    if (is_open) notify_given(state);
    state->live = false;
}

void reset_all() { is_open = false; }

} // namespace toy
