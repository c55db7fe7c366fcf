/*
 * A host whose main function ends by pthread_exit, and the last of whose threads just returns: the C library ends the process then.
 */
#include <pthread.h>

#include "check.h"
#include "whofreed.h"

static void *work(void *argument) {
  wf_allocate(0, 0x1000, 64, 0, 7);
  wf_deallocate(0, 0x1000, 7);
  wf_deallocate(0, 0x1000, 7); /* In excess. */
  return argument;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
  pthread_exit(NULL);
}
