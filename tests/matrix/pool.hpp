// What the library of the interposition matrix exports.

#pragma once

#include <cstddef>

#if defined(WITH_PROTECTED)
#define POOL_API __attribute__((visibility("protected")))
#else
#define POOL_API
#endif

extern "C" {
#if defined(CALL_WEAK)
void *pool_take(std::size_t) __attribute__((weak));
void pool_give(void *) __attribute__((weak));
#else
POOL_API void *pool_take(std::size_t);
POOL_API void pool_give(void *);
#endif
void pool_self_exercise();
}

namespace pool {
void *take(std::size_t);
void give(void *);
} // namespace pool

struct Pool {
  virtual void *take(std::size_t);
  virtual void give(void *);
};

Pool *make_pool();
