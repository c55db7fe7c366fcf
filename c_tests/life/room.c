/* A host that needs room itself, under the limits that somebody set for it: room ROUNDS. Each round frees a buffer twice. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "whofreed.h"

static void *nothing(void *argument) { return argument; }

int main(int argc, char **argv) {
  CHECK(argc > 1);
  for (long n = 1; n <= atol(argv[1]); ++n) {
    const uint64_t address = 0x1000 + (uint64_t)(n % 1000) * 64;
    CHECK(wf_allocate(0, address, 64, 0, (uint64_t)n) == WF_OK);
    CHECK(wf_deallocate(0, address, (uint64_t)n) == WF_OK);
    CHECK(wf_deallocate(0, address, (uint64_t)n) == WF_ALREADY_FREED);
  }
  void *room = malloc(64u << 20);
  CHECK(room != NULL);
  memset(room, 1, 1u << 20);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  free(room);
  return 0;
}
