/* Loops that OpenMP's runtime shares out, with buffers that are taken in one thread and given back in another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 2000 };

int main(void) {
  static char *buffers[BUFFERS];
  long sum = 0;
  for (int round = 0; round < 5; ++round) {
#pragma omp parallel for schedule(dynamic, 7) num_threads(4)
    for (int i = 0; i < BUFFERS; ++i) {
      buffers[i] = malloc((size_t)i + 1);
      memset(buffers[i], i & 0x7f, (size_t)i + 1);
    }
#pragma omp parallel for schedule(static, 3) reduction(+ : sum) num_threads(4)
    for (int i = 0; i < BUFFERS; ++i) {
      sum += buffers[i][i];
      free(buffers[i]);
    }
  }
  printf("%ld\n", sum);
  return 7;
}
