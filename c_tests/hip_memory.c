/* A program of HIP's runtime, run on the stand-in of c_tests/standins; counts its own calls and prints them as one line of
 * JSON. Built with OPENED, it opens the runtime and takes its functions from hipGetProcAddress. With "stale" a cache frees
 * once more (stale_cache.h). */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stale_cache.h"
#include "standins/hip_types.h"

#define FUNCTIONS(X)                                                                                             \
  X(hipMalloc, (void **, size_t))                                                                                \
  X(hipExtMallocWithFlags, (void **, size_t, unsigned))                                                          \
  X(hipMallocManaged, (void **, size_t, unsigned))                                                               \
  X(hipMallocAsync, (void **, size_t, hipStream_t))                                                              \
  X(hipMallocFromPoolAsync, (void **, size_t, hipMemPool_t, hipStream_t))                                        \
  X(hipMallocPitch, (void **, size_t *, size_t, size_t))                                                         \
  X(hipMalloc3D, (struct hipPitchedPtr *, struct hipExtent))                                                     \
  X(hipHostMalloc, (void **, size_t, unsigned))                                                                  \
  X(hipMallocHost, (void **, size_t))                                                                            \
  X(hipFree, (void *))                                                                                           \
  X(hipFreeAsync, (void *, hipStream_t))                                                                         \
  X(hipHostFree, (void *))                                                                                       \
  X(hipFreeHost, (void *))                                                                                       \
  X(hipHostRegister, (void *, size_t, unsigned))                                                                 \
  X(hipHostUnregister, (void *))                                                                                 \
  X(hipMallocArray, (hipArray_t *, const void *, size_t, size_t, unsigned))                                      \
  X(hipMalloc3DArray, (hipArray_t *, const void *, struct hipExtent, unsigned))                                  \
  X(hipFreeArray, (hipArray_t))                                                                                  \
  X(hipArrayDestroy, (hipArray_t))                                                                               \
  X(hipDeviceReset, (void))

static struct {
#define FIELD(name, parameters) int(*name) parameters;
  FUNCTIONS(FIELD)
} hip;

#ifndef OPENED
#define DECLARED(name, parameters) int name parameters;
FUNCTIONS(DECLARED)
#endif

#define SIZE 4096

static struct {
  unsigned long long takes, failures, gives, none, excess, refused;
} counts;

static void took(int result) { *(result == 0 ? &counts.takes : &counts.failures) += 1; }

static void gave(const void *address, int result) {
  *(address == NULL ? &counts.none : &counts.gives) += 1;
  counts.refused += result != 0;
}

static void expect(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "failed: %s\n", what);
    exit(3);
  }
}

static void find(void) {
#ifdef OPENED
  void *library = dlopen("libamdhip64.so.6", RTLD_NOW);
  expect(library != NULL, "to open the runtime");
  int (*get)(const char *, void **, int, uint64_t, int *);
  void *found = dlsym(library, "hipGetProcAddress");
  expect(found != NULL, "to find hipGetProcAddress");
  memcpy(&get, &found, sizeof found);
#define FIND(name, parameters)                                                                                   \
  expect(get(#name, &found, 60000000, 0, NULL) == 0, #name);                                                     \
  memcpy(&hip.name, &found, sizeof found);
#else
#define FIND(name, parameters) hip.name = name;
#endif
  FUNCTIONS(FIND)
}

static void all_sorts(void) {
  void *pointers[9] = {0};
  size_t pitch = 0;
  struct hipPitchedPtr volume = {0};
  struct hipExtent extent = {100, 20, 3};
  static char block[SIZE];
  hipArray_t array = NULL, other = NULL;
  took(hip.hipMalloc(&pointers[0], SIZE));
  took(hip.hipExtMallocWithFlags(&pointers[1], SIZE, 1));
  took(hip.hipMallocManaged(&pointers[2], SIZE, 1));
  took(hip.hipMallocAsync(&pointers[3], SIZE, NULL));
  took(hip.hipMallocFromPoolAsync(&pointers[4], SIZE, NULL, NULL));
  took(hip.hipMallocPitch(&pointers[5], &pitch, 100, 30));
  took(hip.hipMalloc3D(&volume, extent));
  took(hip.hipHostMalloc(&pointers[6], SIZE, 0));
  took(hip.hipMallocHost(&pointers[7], SIZE));
  took(hip.hipHostRegister(block, sizeof block, 0));
  took(hip.hipHostRegister(block, sizeof block, 0)); /* It is already. */
  took(hip.hipMallocArray(&array, &extent, 16, 16, 0));
  took(hip.hipMalloc3DArray(&other, &extent, extent, 0));
  took(hip.hipMalloc(&pointers[8], (size_t)1 << 40)); /* There is not so much. */
  for (int place = 0; place < 3; ++place) {
    gave(pointers[place], hip.hipFree(pointers[place]));
  }
  gave(pointers[3], hip.hipFreeAsync(pointers[3], NULL));
  gave(pointers[4], hip.hipFreeAsync(pointers[4], NULL));
  gave(pointers[5], hip.hipFree(pointers[5]));
  gave(volume.ptr, hip.hipFree(volume.ptr));
  gave(pointers[6], hip.hipHostFree(pointers[6]));
  gave(pointers[7], hip.hipFreeHost(pointers[7]));
  gave(block, hip.hipHostUnregister(block));
  gave(array, hip.hipFreeArray(array));
  gave(other, hip.hipArrayDestroy(other));
  gave(NULL, hip.hipFree(NULL));
  expect(counts.refused == 0, "to free");
}

static uint64_t take(void) {
  void *pointer = NULL;
  took(hip.hipMalloc(&pointer, SIZE));
  return (uintptr_t)pointer;
}
static void give(uint64_t address) {
  void *pointer = (void *)(uintptr_t)address;
  gave(pointer, hip.hipFree(pointer));
}

int main(int count, char **arguments) {
  find();
  (void)take();
  expect(hip.hipDeviceReset() == 0, "to reset");
  for (int round = 0; round < 10; ++round) {
    all_sorts();
  }
  if (count > 1 && strcmp(arguments[1], "stale") == 0) {
    counts.excess += stale_cache(take, give);
  }
  (void)take();
  printf("{\"allocations\": %llu, \"failures\": %llu, \"deallocations\": %llu, \"none\": %llu, \"excess\": %llu, "
         "\"refused\": %llu}\n",
         counts.takes, counts.failures, counts.gives, counts.none, counts.excess, counts.refused);
  return 0;
}
