// The library: every function looks at the whole of its vectors, and says which were not whole.

#include "wide.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

alignas(32) char blocks[4][64];
int taken;

void *block() { return blocks[taken++ % 4]; }

void look(__m256d vector, double first, const char *what) {
  alignas(32) double parts[4];
  _mm256_store_pd(parts, vector);
  for (int at = 0; at < 4; ++at) {
    if (parts[at] != first + at) {
      std::printf("%s: part %d is %g, not %g\n", what, at, parts[at], first + at);
      return;
    }
  }
}

} // namespace

void *wide_take(__m256d vector) {
  look(vector, 1, "take");
  return block();
}

void wide_give(__m256d vector, void *) { look(vector, 2, "give"); }

__m256d wide_many(__m256d a, __m256d b, __m256d c, __m256d d, __m256d e, __m256d f, __m256d g, __m256d h, __m256d i,
                  __m256d j, void **taken_block) {
  const __m256d all[] = {a, b, c, d, e, f, g, h, i, j};
  for (int at = 0; at < 10; ++at) {
    look(all[at], at, at < 8 ? "one of many" : "one on the stack");
  }
  *taken_block = block();
  return j;
}

__m256d wide::take(__m256d vector, void **taken_block) {
  look(vector, 3, "C++ take");
  *taken_block = block();
  return vector;
}

void wide::give(void *, __m256d vector) { look(vector, 4, "C++ give"); }
