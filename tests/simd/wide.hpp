// Functions that take and return vectors of 32 bytes; `wide_` are C functions, the others tell it by their names.

#pragma once

#include <immintrin.h>

extern "C" {
void *wide_take(__m256d vector);
void wide_give(__m256d vector, void *block);
__m256d wide_many(__m256d a, __m256d b, __m256d c, __m256d d, __m256d e, __m256d f, __m256d g, __m256d h, __m256d i,
                  __m256d j, void **block);
}

namespace wide {
__m256d take(__m256d vector, void **block);
void give(void *block, __m256d vector);
} // namespace wide
