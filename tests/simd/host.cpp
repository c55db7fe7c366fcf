// The host: hands over whole vectors, and looks at those that it gets back.

#include "wide.hpp"

#include <cstdio>

static __m256d from(double first) { return _mm256_set_pd(first + 3, first + 2, first + 1, first); }

static void look(__m256d vector, double first, const char *what) {
  __m256d same = _mm256_cmp_pd(vector, from(first), _CMP_EQ_OQ);
  if (_mm256_movemask_pd(same) != 15) {
    std::printf("%s: the result is not whole\n", what);
  }
}

int main() {
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
