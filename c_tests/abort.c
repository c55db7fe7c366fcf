/*
 * Aborts in the middle of its work: abort [FREES]. It prints the number of every attempted free after its call has
 * returned, unbuffered; the last one is in excess, as in a runtime whose own check finds the double free.
 */
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

NOINLINE static void runtime_free(uint64_t address, uint64_t owner, long number) {
  const wf_verdict verdict = wf_deallocate(0, address, owner);
  char line[32];
  const int length = snprintf(line, sizeof line, "%ld\n", number);
  CHECK(write(STDOUT_FILENO, line, (size_t)length) == length);
  if (verdict == WF_ALREADY_FREED) {
    abort();
  }
}

int main(int argc, char **argv) {
  const long frees = argc > 1 ? atol(argv[1]) : 100;
  for (long number = 1; number < frees; ++number) {
    wf_allocate(0, 0x1000, 64, 0, (uint64_t)number);
    runtime_free(0x1000, (uint64_t)number, number);
  }
  runtime_free(0x1000, (uint64_t)frees - 1, frees);
  return 0;
}
