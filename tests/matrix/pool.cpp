// The library of the interposition matrix: a pool that counts what really reached it, and says so when it is unloaded.
// How it defines its functions depends on the macros; `pool_self_exercise` is the library's own way to use them.

#include "pool.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

unsigned long takes, gives;
alignas(16) char blocks[16][64];

[[gnu::noinline]] void *real_take() { return blocks[takes++ % 16]; }

[[gnu::noinline]] void real_give(void *block) {
  if (block != nullptr) {
    ++gives;
  }
}

struct Account {
  // What came before the first and after the last of us is counted as well.
  ~Account() { std::fprintf(stderr, "pool: %lu takes, %lu gives\n", takes, gives); }
} account;

} // namespace

#if defined(WITH_IFUNC)
extern "C" {
static void *take_for_all(std::size_t) { return real_take(); }
static void give_for_all(void *block) { real_give(block); }
void *(*choose_take())(std::size_t) { return take_for_all; }
void (*choose_give())(void *) { return give_for_all; }
void *pool_take(std::size_t) __attribute__((ifunc("choose_take")));
void pool_give(void *) __attribute__((ifunc("choose_give")));
}
#elif defined(WITH_VERSIONS)
// An old interface with other rules: a program that was linked with it has to get it.
extern "C" {
void *take_1(std::size_t size) { return size == 1 ? real_take() : nullptr; }
void *take_2(std::size_t size) { return size == 1 ? nullptr : real_take(); }
void give_1(void *block) { real_give(block); }
void give_2(void *block) { real_give(block); }
}
__asm__(".symver take_1, pool_take@POOL_1");
__asm__(".symver take_2, pool_take@@POOL_2");
__asm__(".symver give_1, pool_give@POOL_1");
__asm__(".symver give_2, pool_give@@POOL_2");
#else
extern "C" {
POOL_API void *pool_take(std::size_t) { return real_take(); }
POOL_API void pool_give(void *block) { real_give(block); }
}
#endif

void *pool::take(std::size_t) { return real_take(); }
void pool::give(void *block) { real_give(block); }

void *Pool::take(std::size_t) { return real_take(); }
void Pool::give(void *block) { real_give(block); }
Pool *make_pool() { return new Pool; }

#if !defined(WITH_VERSIONS)
extern "C" void pool_self_exercise() { pool_give(pool_take(64)); }
#endif
