/* A program of Level Zero, run on a stand-in of c_tests/standins, for the loader or for a driver; counts its own calls and prints them as one line of JSON.
 * Built with OPENED, it opens the loader and looks its functions up. With "stale" a cache frees once more
 * (stale_cache.h). */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stale_cache.h"

typedef struct _ze_context_handle_t *ze_context_handle_t;
typedef struct _ze_device_handle_t *ze_device_handle_t;

#define FUNCTIONS(X)                                                                                             \
  X(zeInit, (uint32_t))                                                                                          \
  X(zeDriverGet, (uint32_t *, void **))                                                                          \
  X(zeContextCreate, (void *, const void *, ze_context_handle_t *))                                              \
  X(zeContextDestroy, (ze_context_handle_t))                                                                     \
  X(zeMemAllocDevice, (ze_context_handle_t, const void *, size_t, size_t, ze_device_handle_t, void **))          \
  X(zeMemAllocHost, (ze_context_handle_t, const void *, size_t, size_t, void **))                                \
  X(zeMemAllocShared, (ze_context_handle_t, const void *, const void *, size_t, size_t, ze_device_handle_t, void **)) \
  X(zeMemFree, (ze_context_handle_t, void *))                                                                    \
  X(zeMemFreeExt, (ze_context_handle_t, const void *, void *))

static struct {
#define FIELD(name, parameters) int(*name) parameters;
  FUNCTIONS(FIELD)
} ze;

#ifndef OPENED
#define DECLARED(name, parameters) int name parameters;
FUNCTIONS(DECLARED)
#endif

#define SIZE 4096

static struct {
  unsigned long long takes, failures, gives, excess, refused;
} counts;

static ze_context_handle_t context;
/* Of the size of all of them: a type, a link to the next one, flags. */
static const uint64_t description[8] = {0};

static void took(int result) { *(result == 0 ? &counts.takes : &counts.failures) += 1; }

static void gave(int result) {
  ++counts.gives;
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
  void *library = dlopen("libze_loader.so.1", RTLD_NOW | RTLD_LOCAL);
  expect(library != NULL, "to open the loader");
#define FIND(name, parameters)                                                                                   \
  {                                                                                                              \
    void *found = dlsym(library, #name);                                                                         \
    expect(found != NULL, #name);                                                                                \
    memcpy(&ze.name, &found, sizeof found);                                                                      \
  }
#else
#define FIND(name, parameters) ze.name = name;
#endif
  FUNCTIONS(FIND)
}

static void all_sorts(void) {
  void *device = NULL, *host = NULL, *shared = NULL, *none = NULL;
  took(ze.zeMemAllocDevice(context, description, SIZE, 64, NULL, &device));
  took(ze.zeMemAllocHost(context, description, SIZE, 64, &host));
  took(ze.zeMemAllocShared(context, description, description, SIZE, 64, NULL, &shared));
  took(ze.zeMemAllocShared(context, description, NULL, SIZE, 64, NULL, &none));
  took(ze.zeMemAllocDevice(context, description, (size_t)1 << 40, 64, NULL, &none));
  expect(device != NULL && host != NULL && shared != NULL && none == NULL, "to get memory");
  gave(ze.zeMemFree(context, device));
  gave(ze.zeMemFreeExt(context, description, host));
  gave(ze.zeMemFree(context, shared));
  expect(counts.refused == 0, "to free");
}

static uint64_t take(void) {
  void *pointer = NULL;
  took(ze.zeMemAllocShared(context, description, description, SIZE, 0, NULL, &pointer));
  return (uintptr_t)pointer;
}
static void give(uint64_t address) { gave(ze.zeMemFree(context, (void *)(uintptr_t)address)); }

int main(int count, char **arguments) {
  ze_context_handle_t first;
  void *driver = NULL;
  uint32_t found = 1;
  find();
  expect(ze.zeInit(0) == 0 && ze.zeDriverGet(&found, &driver) == 0 && driver != NULL, "to find a driver");
  expect(ze.zeContextCreate(driver, description, &first) == 0, "to create a context");
  expect(ze.zeContextCreate(driver, description, &context) == 0, "to create another");
  all_sorts();
  (void)take();
  expect(ze.zeContextDestroy(context) == 0, "to destroy it");
  context = first;
  for (int round = 0; round < 10; ++round) {
    all_sorts();
  }
  if (count > 1 && strcmp(arguments[1], "stale") == 0) {
    counts.excess += stale_cache(take, give);
  }
  (void)take();
  printf("{\"allocations\": %llu, \"failures\": %llu, \"deallocations\": %llu, \"excess\": %llu, \"refused\": %llu}\n",
         counts.takes, counts.failures, counts.gives, counts.excess, counts.refused);
  return 0;
}
