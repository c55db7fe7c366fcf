/*
 * Stands before the heap's functions and mmap, and counts who calls them from within an event: nobody may. Threads, as
 * many as the first argument says, make as many rounds of all kinds of events as the second one says, after a tenth of that
 * uncounted. Prints the calls of the heap, and those of mmap, by threads in an event.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

enum { MOST_THREADS = 64, FAR = 65536 };

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

static _Thread_local int in_event;
static atomic_long heap_calls, mappings;

static void count_heap(void) {
  if (in_event) atomic_fetch_add(&heap_calls, 1);
}

void *malloc(size_t size) {
  count_heap();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  count_heap();
  return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  count_heap();
  return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
  count_heap();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count_heap();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **place, size_t alignment, size_t size) {
  count_heap();
  *place = __libc_memalign(alignment, size);
  return *place == NULL ? ENOMEM : 0;
}

void free(void *block) {
  count_heap();
  __libc_free(block);
}

void *mmap(void *at, size_t len, int access, int flags, int file, off_t offset) {
  if (in_event) atomic_fetch_add(&mappings, 1);
  return (void *)syscall(SYS_mmap, at, len, access, flags, file, offset);
}

static long rounds;
static atomic_long excess_told;

static void on_excess(const struct wf_excess *event, void *user) {
  (void)event;
  atomic_fetch_add((atomic_long *)user, 1);
}

/* Two places to call from, two deep, so that there are several stacks. */
NOINLINE static void one_round(uint32_t device, uint64_t number) {
  const uint64_t address = 4096 + 64 * (number % 512), owner = number * 8 + 8;
  const uint64_t scope = wf_scope_enter(number % 2 ? "odd" : "even");
  wf_allocate(device, address, 64, 1, owner);
  wf_retain(device, address, owner);
  wf_view(device, address, owner + 1, owner);
  wf_deallocate(device, address, owner + 1);
  wf_deallocate(device, address, owner);
  wf_deallocate(device, address, owner);
  wf_scope_leave(scope);
  const uint64_t nobodys = (uint64_t)FAR * 64 + 64 * (number % 512);
  wf_allocate(device, nobodys, 64, 2, 0);
  wf_deallocate(device, nobodys, 0);
  wf_deallocate(device, nobodys, 0);
  wf_deallocate(device, (uint64_t)FAR * 128, 0);
  if (number % 256 == 0) wf_device_reset(device);
}

static void *work(void *argument) {
  const uint32_t device = (uint32_t)(size_t)argument;
  for (long round = 0; round < rounds + rounds / 10; round++) {
    in_event = round >= rounds / 10;
    one_round(device, (uint64_t)round);
  }
  in_event = 0;
  return NULL;
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  const long threads = atol(arguments[1]);
  rounds = atol(arguments[2]);
  CHECK(threads > 0 && threads <= MOST_THREADS && rounds > 0);
  wf_on_excess(on_excess, &excess_told);
  pthread_t all[MOST_THREADS];
  for (long thread = 0; thread < threads; thread++) {
    CHECK(pthread_create(&all[thread], NULL, work, (void *)(size_t)thread) == 0);
  }
  for (long thread = 0; thread < threads; thread++) {
    CHECK(pthread_join(all[thread], NULL) == 0);
  }
  CHECK(excess_told > 0);
  printf("{\"heap\": %ld, \"mappings\": %ld}\n", (long)heap_calls, (long)mappings);
  return 0;
}
