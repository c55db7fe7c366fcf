/* A host for `whofreed top`: each byte on stdin makes it free one buffer twice and keep another one; it answers each
 * with a line, and ends with its input. */
#include <stdio.h>

#include "check.h"
#include "whofreed.h"

static uint64_t next;

NOINLINE static uint64_t take(void) {
  next++;
  CHECK(wf_allocate(0, 0x10000 + next * 0x1000, 4096, 0, next) == WF_OK);
  return next;
}

NOINLINE static void give(uint64_t buffer) { CHECK(wf_deallocate(0, 0x10000 + buffer * 0x1000, buffer) == WF_OK); }

NOINLINE static void give_again(uint64_t buffer) {
  (void)wf_deallocate(0, 0x10000 + buffer * 0x1000, buffer);
  __asm__ volatile("");
}

int main(void) {
  const uint64_t kept = take();
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {
    const uint64_t buffer = take();
    give(buffer);
    give_again(buffer);
    (void)take();
    printf("%llu\n", (unsigned long long)next);
    fflush(stdout);
  }
  give(kept);
  return 0;
}
