/*
 * The smallest program in which the stack at the double free is an innocent's: B has got the address that A had, A is
 * freed once more, and B's own free comes too late. By malloc and free, or told to whofreed.
 *
 * reuse [unique|unknown [ROUNDS]]
 */
#include <stdlib.h>
#include <string.h>

#ifdef REUSE_WHOFREED
#include "whofreed.h"
typedef uint64_t buffer; /* An owner; the one address is always the same. */
#define ALLOCATE() (owner += (uint64_t)unique, (void)wf_allocate(0, 0x1000, 64, 0, owner), owner)
#define FREE(held) ((void)wf_deallocate(0, 0x1000, held))
#else
typedef void *buffer;
#define ALLOCATE() malloc(64)
#define FREE(held) free(held)
#endif

int main(int argc, char **argv) {
#ifdef REUSE_WHOFREED
  const int unique = argc > 1 && strcmp(argv[1], "unique") == 0;
  uint64_t owner = 0;
#endif
  for (long round = argc > 2 ? atol(argv[2]) : 1; round > 0; --round) {
    buffer a = ALLOCATE(); /* allocates A */
    FREE(a);               /* frees A */
    buffer b = ALLOCATE(); /* allocates B */
    FREE(a);               /* frees A again */
    FREE(b);               /* frees B */
  }
  return 0;
}
