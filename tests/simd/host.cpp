// The host: hands over whole vectors, and looks at those that it gets back.

#include "wide.hpp"

#include <cstdio>
#include <sys/mman.h>
#include <ucontext.h>

static __m256d from(double first) { return _mm256_set_pd(first + 3, first + 2, first + 1, first); }

static void look(__m256d vector, double first, const char *what) {
  __m256d same = _mm256_cmp_pd(vector, from(first), _CMP_EQ_OQ);
  if (_mm256_movemask_pd(same) != 15) {
    std::printf("%s: the result is not whole\n", what);
  }
}

static ucontext_t outside, coroutine;

static void call_at_the_edge() { wide_give(from(2), wide_take(from(1))); }

// From the last frame of a stack above which nothing can be read.
static bool call_on_a_stack_of_its_own() {
  constexpr size_t size = 1 << 16, page = 4096;
  void *memory = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(static_cast<char *>(memory) + size, page, PROT_NONE) != 0) {
    return false;
  }
  if (getcontext(&coroutine) != 0) {
    return false;
  }
  coroutine.uc_stack.ss_sp = memory;
  coroutine.uc_stack.ss_size = size;
  coroutine.uc_link = &outside;
  makecontext(&coroutine, call_at_the_edge, 0);
  return swapcontext(&outside, &coroutine) == 0;
}

int main() {
  if (!call_on_a_stack_of_its_own()) {
    std::puts("no coroutine");
  }
  for (int round = 0; round < 3; ++round) {
    wide_give(from(2), wide_take(from(1)));
    void *block = nullptr;
    look(wide_many(from(0), from(1), from(2), from(3), from(4), from(5), from(6), from(7), from(8), from(9), &block), 9,
         "many");
    wide_give(from(2), block);
    look(wide::take(from(3), &block), 3, "C++ take");
    wide::give(block, from(4));
  }
  std::puts("done");
  return 0;
}
