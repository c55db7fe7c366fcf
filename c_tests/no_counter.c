/*
 * A host that forbids itself to read the processor's counter, by which the C library tells the time, before its first event.
 */
#include <sys/prctl.h>

#include "check.h"
#include "whofreed.h"

int main(void) {
#ifdef __x86_64__
  CHECK(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
#endif
  for (uint64_t address = 0x1000; address < 0x1000 + 5000; ++address) {
    wf_allocate(0, address, 1, 0, 7);
    wf_deallocate(0, address, 7);
  }
  wf_deallocate(0, 0x1000, 7); /* In excess. */
  return 0;
}
