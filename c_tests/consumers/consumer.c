/* What a user of the archive writes: one free too many. Says 0 where the library is absent. */
#include <stdio.h>
#include <whofreed.h>

int main(void) {
  wf_allocate(0, 0x1000, 64, 0, 1);
  wf_deallocate(0, 0x1000, 1);
  printf("%d\n", wf_deallocate(0, 0x1000, 1));
  return 0;
}
