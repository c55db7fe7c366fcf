// The caller of the interposition matrix: takes and gives one block, in one way (a macro) and at one place (a variable of the
// environment). It is compiled into an executable or into a library.

#include "pool.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <pthread.h>

#if defined(CALL_OLD_VERSION)
__asm__(".symver pool_take, pool_take@POOL_1");
__asm__(".symver pool_give, pool_give@POOL_1");
#elif defined(CALL_MIXED_VERSIONS)
// As where a part of the program is older than the rest.
extern "C" void *older_take(std::size_t);
extern "C" void older_give(void *);
__asm__(".symver older_take, pool_take@POOL_1");
__asm__(".symver older_give, pool_give@POOL_1");
#endif

namespace {

using Take = void *(*)(std::size_t);
using Give = void (*)(void *);

#if defined(CALL_POINTER)
// Filled by the dynamic linker.
Take volatile take_in_data = pool_take;
Give volatile give_in_data = pool_give;
#endif

[[noreturn]] void fail(const char *what) {
  std::fprintf(stderr, "caller: %s\n", what);
  std::exit(9);
}

[[maybe_unused]] void exercise_found(void *take, void *give) {
  if (take == nullptr || give == nullptr) {
    std::fprintf(stderr, "caller: absent\n");
    return;
  }
  reinterpret_cast<Give>(give)(reinterpret_cast<Take>(take)(64));
}

[[gnu::noinline]] void exercise() {
#if defined(CALL_POINTER)
  give_in_data(take_in_data(64));
#elif defined(CALL_VIRTUAL)
  static Pool *const pool = make_pool();
  pool->give(pool->take(64));
#elif defined(CALL_WEAK)
  if (pool_take == nullptr || pool_give == nullptr) {
    std::fprintf(stderr, "caller: absent\n");
    return;
  }
  pool_give(pool_take(64));
#elif defined(CALL_OLD_VERSION) || defined(CALL_OLD_SIZE)
  void *block = pool_take(1);
  if (block == nullptr) {
    fail("got the new function where it was linked with the old one");
  }
  pool_give(block);
#elif defined(CALL_MIXED_VERSIONS)
  // Whichever it gets.
  void *block = pool_take(64);
  if (block == nullptr) {
    block = pool_take(1);
  }
  pool_give(block);
  if (std::getenv("NEVER_SET") != nullptr) {
    older_give(older_take(1));
  }
#elif defined(CALL_DLSYM_DEFAULT)
  exercise_found(dlsym(RTLD_DEFAULT, "pool_take"), dlsym(RTLD_DEFAULT, "pool_give"));
#elif defined(CALL_DLSYM_NEXT)
  exercise_found(dlsym(RTLD_NEXT, "pool_take"), dlsym(RTLD_NEXT, "pool_give"));
#elif defined(CALL_DLSYM_HANDLE) || defined(CALL_DLVSYM)
  void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    fail(dlerror());
  }
#if defined(CALL_DLVSYM)
  exercise_found(dlvsym(library, "pool_take", "POOL_2"), dlvsym(library, "pool_give", "POOL_2"));
#else
  exercise_found(dlsym(library, "pool_take"), dlsym(library, "pool_give"));
#endif
#elif defined(CALL_MANGLED)
  pool::give(pool::take(64));
#elif defined(CALL_SELF)
  pool_self_exercise();
#else
  pool_give(pool_take(64));
#endif
#if !defined(CALL_BY_JUMP)
  // Else the last call would be a jump, and its caller somebody else.
  __asm__ volatile("");
#endif
}

bool is_place(const char *place) {
  const char *wanted = std::getenv("MATRIX_PLACE");
  return wanted != nullptr && std::strcmp(wanted, place) == 0;
}

__attribute__((constructor)) void at_start() {
  if (is_place("constructor")) {
    exercise();
  }
}

__attribute__((destructor)) void at_end() {
  if (is_place("destructor")) {
    exercise();
  }
}

} // namespace

extern "C" void caller_run() {
  if (is_place("main")) {
    exercise();
  } else if (is_place("thread")) {
    pthread_t thread;
    auto start = [](void *) -> void * {
      exercise();
      return nullptr;
    };
    if (pthread_create(&thread, nullptr, start, nullptr) != 0 || pthread_join(thread, nullptr) != 0) {
      fail("no thread");
    }
  }
}
