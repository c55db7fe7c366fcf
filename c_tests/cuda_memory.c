/* A program of CUDA's runtime and driver, run on the stand-ins of c_tests/standins: memory in every way that it comes and
 * goes; counts its own calls and prints them as one line of JSON.
 *
 * What it is linked with says how it gets at the runtime: libcudart.so, or the runtime within the program. With "driver" it
 * takes the driver's functions from cuGetProcAddress besides, with "stale" a cache frees once more (stale_cache.h). */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stale_cache.h"
#include "standins/cuda_types.h"

cudaError_t cudaMalloc(void **, size_t);
cudaError_t cudaMallocManaged(void **, size_t, unsigned);
cudaError_t cudaMallocAsync(void **, size_t, cudaStream_t);
cudaError_t cudaMallocFromPoolAsync(void **, size_t, cudaMemPool_t, cudaStream_t);
cudaError_t cudaMallocPitch(void **, size_t *, size_t, size_t);
cudaError_t cudaMalloc3D(struct cudaPitchedPtr *, struct cudaExtent);
cudaError_t cudaMallocHost(void **, size_t);
cudaError_t cudaHostAlloc(void **, size_t, unsigned);
cudaError_t cudaFree(void *);
cudaError_t cudaFreeAsync(void *, cudaStream_t);
cudaError_t cudaFreeHost(void *);
cudaError_t cudaHostRegister(void *, size_t, unsigned);
cudaError_t cudaHostUnregister(void *);
cudaError_t cudaMallocArray(cudaArray_t *, const void *, size_t, size_t, unsigned);
cudaError_t cudaFreeArray(cudaArray_t);
cudaError_t cudaDeviceReset(void);

#define SIZE 4096

static struct {
  unsigned long long takes, failures, gives, none, excess, refused;
} counts;

static void took(int result) { *(result == 0 ? &counts.takes : &counts.failures) += 1; }

/* What is refused was freed before, but for those who have it by then. */
static void gave(uint64_t address, int result) {
  *(address == 0 ? &counts.none : &counts.gives) += 1;
  counts.refused += result != 0;
}

static void expect(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "failed: %s\n", what);
    exit(3);
  }
}

static void give_device(void *pointer) { gave((uintptr_t)pointer, cudaFree(pointer)); }

static void all_sorts(void) {
  void *pointers[8] = {0};
  size_t pitch = 0;
  struct cudaPitchedPtr volume = {0};
  struct cudaExtent extent = {100, 20, 3};
  static char block[SIZE];
  cudaArray_t array = NULL;
  took(cudaMalloc(&pointers[0], SIZE));
  took(cudaMallocManaged(&pointers[1], SIZE, 1));
  took(cudaMallocAsync(&pointers[2], SIZE, NULL));
  took(cudaMallocFromPoolAsync(&pointers[3], SIZE, NULL, NULL));
  took(cudaMallocPitch(&pointers[4], &pitch, 100, 30));
  took(cudaMalloc3D(&volume, extent));
  took(cudaMallocHost(&pointers[5], SIZE));
  took(cudaHostAlloc(&pointers[6], SIZE, 0));
  expect(pitch == 512 && volume.ptr != NULL && volume.xsize == 100, "to get rows of their own");
  took(cudaHostRegister(block, sizeof block, 0));
  took(cudaHostRegister(block, sizeof block, 0)); /* It is already. */
  took(cudaMallocArray(&array, &extent, 16, 16, 0));
  took(cudaMalloc(&pointers[7], (size_t)1 << 40)); /* There is not so much. */
  expect(counts.failures % 2 == 0 && pointers[7] == NULL, "what is asked for");
  give_device(pointers[0]);
  give_device(pointers[1]);
  gave(1, cudaFreeAsync(pointers[2], NULL));
  gave(1, cudaFreeAsync(pointers[3], NULL));
  give_device(pointers[4]);
  give_device(volume.ptr);
  gave(1, cudaFreeHost(pointers[5]));
  gave(1, cudaFreeHost(pointers[6]));
  gave(1, cudaHostUnregister(block));
  gave(1, cudaFreeArray(array));
  give_device(NULL);
  gave(0, cudaFreeHost(NULL));
  expect(counts.refused == 0, "to free");
}

typedef int (*Get)(const char *, void **, int, uint64_t, int *);
typedef int (*Take)(unsigned long long *, size_t);
typedef int (*Give)(unsigned long long);

static void *function(Get get, const char *name) {
  void *found = NULL;
  expect(get(name, &found, 12040, 0, NULL) == 0 && found != NULL, name);
  return found;
}

static void by_driver(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  expect(library != NULL, "to open the driver");
  Get get;
  Take take, direct;
  Give give, give_direct;
  void *found = dlsym(library, "cuGetProcAddress_v2");
  expect(found != NULL, "to find cuGetProcAddress_v2");
  memcpy(&get, &found, sizeof found);
  found = function(get, "cuGetProcAddress");
  memcpy(&get, &found, sizeof found);
  found = function(get, "cuMemAlloc");
  memcpy(&take, &found, sizeof found);
  found = function(get, "cuMemFree");
  memcpy(&give, &found, sizeof found);
  found = dlsym(library, "cuMemAlloc_v2");
  memcpy(&direct, &found, sizeof found);
  found = dlsym(library, "cuMemFree_v2");
  memcpy(&give_direct, &found, sizeof found);
  for (int round = 0; round < 10; ++round) {
    unsigned long long one = 0, other = 0;
    took(take(&one, SIZE));
    took(direct(&other, SIZE));
    gave(other, give(other));
    gave(one, give_direct(one));
    gave(0, give(0));
    /* Of the driver to the runtime, and back. */
    took(take(&one, SIZE));
    give_device((void *)(uintptr_t)one);
    void *pointer = NULL;
    took(cudaMalloc(&pointer, SIZE));
    gave((uintptr_t)pointer, give((uintptr_t)pointer));
  }
}

static uint64_t take(void) {
  void *pointer = NULL;
  took(cudaMalloc(&pointer, SIZE));
  return (uintptr_t)pointer;
}
static void give(uint64_t address) { give_device((void *)(uintptr_t)address); }

int main(int count, char **arguments) {
  /* What a reset ends, its holder may free once more. */
  (void)take();
  expect(cudaDeviceReset() == 0, "to reset");
  for (int round = 0; round < 10; ++round) {
    all_sorts();
  }
  for (int place = 1; place < count; ++place) {
    if (strcmp(arguments[place], "driver") == 0) {
      by_driver();
    }
    if (strcmp(arguments[place], "stale") == 0) {
      counts.excess += stale_cache(take, give);
    }
  }
  (void)take();
  printf("{\"allocations\": %llu, \"failures\": %llu, \"deallocations\": %llu, \"none\": %llu, \"excess\": %llu, "
         "\"refused\": %llu}\n",
         counts.takes, counts.failures, counts.gives, counts.none, counts.excess, counts.refused);
  return 0;
}
