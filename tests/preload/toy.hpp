// A small runtime that knows nothing of whofreed: every calling convention that a hook can meet.
#pragma once
#include <cstdarg>
#include <cstddef>
#include <cstdint>

extern "C" {
void *toy_take(std::size_t size);
void toy_give(void *block);
void *toy_take_twelve(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l);
void *toy_take_listed(int count, ...);
void *toy_take_throwing(std::size_t size);
void toy_give_throwing(void *block);
int toy_give_twelve(void *block, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l);
void toy_take_leaving(void (*leave)(void *), void *argument);
int toy_optional(void *block) __attribute__((weak));
int toy_frames(int through_call);
}

namespace toy {

struct Block {
    void *address;
    std::size_t size;
    long mark;
};
struct Pair {
    double first;
    double second;
};
struct Mixed {
    long first;
    double second;
};

Block take_block(std::size_t size);
Pair take_pair(double a, float b, long c, double d, double e, double f, double g, double h, double i, int j);
Mixed take_mixed(void *block, double by);
long double take_long(long double value);
void give_floating(void *block, double a, double b, float c, double *sum);

// A handle to a buffer, shared by its copies. Frees of a dead handle are swallowed, as device runtimes do.
struct State;
class Handle {
  public:
    explicit Handle(std::size_t size);
    explicit Handle(State *shared);
    void release(bool force);
    bool is_live() const;
    std::uint64_t owner() const; // throws on a dead handle
    State *state;
};
void reset_all();

} // namespace toy
