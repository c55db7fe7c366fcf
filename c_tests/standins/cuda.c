/* A stand-in for libcuda.so.1 of CUDA 12: the functions about memory, with the driver's prototypes, names with and without
 * version, and errors. */

#include <stdio.h>
#include <string.h>

#include "slots.h"

typedef int CUresult;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct CUarray_st *CUarray;

enum { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_OUT_OF_MEMORY = 2, CUDA_ERROR_NOT_FOUND = 500 };

static struct slots memory = {.base = 0x700000000000}, arrays = {.base = 0x600000000000};
static void *registrations[64];

static CUresult take(CUdeviceptr *pointer, size_t size) {
  uint64_t taken = slots_take(&memory, size);
  /* Where it fails, what is there stays there. */
  if (taken == 0) {
    return size == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
  }
  *pointer = taken;
  return CUDA_SUCCESS;
}

static CUresult give(struct slots *slots, uint64_t address) {
  return address == 0 || slots_give(slots, address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuInit(unsigned flags) {
  return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t size) { return take(pointer, size); }
CUresult cuMemAllocManaged(CUdeviceptr *pointer, size_t size, unsigned flags) {
  (void)flags;
  return take(pointer, size);
}
CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t size, CUstream stream) {
  (void)stream;
  return take(pointer, size);
}
CUresult cuMemAllocFromPoolAsync(CUdeviceptr *pointer, size_t size, CUmemoryPool pool, CUstream stream) {
  (void)pool, (void)stream;
  return take(pointer, size);
}
CUresult cuMemAllocPitch_v2(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height, unsigned element) {
  (void)element;
  *pitch = (width + 511) / 512 * 512;
  return take(pointer, *pitch * height);
}
CUresult cuMemAllocHost_v2(void **pointer, size_t size) { return take((CUdeviceptr *)pointer, size); }
CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned flags) {
  (void)flags;
  return take((CUdeviceptr *)pointer, size);
}
CUresult cuMemFree_v2(CUdeviceptr pointer) { return give(&memory, pointer); }
CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  (void)stream;
  return give(&memory, pointer);
}
CUresult cuMemFreeHost(void *pointer) { return give(&memory, (uintptr_t)pointer); }

static void **registration(const void *pointer) {
  for (unsigned place = 0; place < 64; ++place) {
    if (registrations[place] == pointer) {
      return &registrations[place];
    }
  }
  return NULL;
}
CUresult cuMemHostRegister_v2(void *pointer, size_t size, unsigned flags) {
  void **free = registration(NULL);
  (void)flags;
  if (pointer == NULL || size == 0 || registration(pointer) != NULL || free == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *free = pointer;
  return CUDA_SUCCESS;
}
CUresult cuMemHostUnregister(void *pointer) {
  void **known = pointer == NULL ? NULL : registration(pointer);
  if (known == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *known = NULL;
  return CUDA_SUCCESS;
}

CUresult cuArrayCreate_v2(CUarray *array, const void *description) {
  uint64_t taken = description == NULL ? 0 : slots_take(&arrays, 1);
  *array = (CUarray)(uintptr_t)taken;
  return taken == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
CUresult cuArrayDestroy(CUarray array) { return give(&arrays, (uintptr_t)array); }

static void reset(void) {
  slots_reset(&memory);
  slots_reset(&arrays);
  memset(registrations, 0, sizeof registrations);
}
CUresult cuCtxDestroy_v2(CUcontext context) {
  (void)context;
  reset();
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxReset_v2(int device) {
  reset();
  return device < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status);

CUresult cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags) {
  /* Versions are chosen so that a program built for 12 gets what 12 has. */
  static const struct {
    const char *name;
    void *function;
  } known[] = {
      {"cuInit", (void *)cuInit},
      {"cuMemAlloc", (void *)cuMemAlloc_v2},
      {"cuMemAllocManaged", (void *)cuMemAllocManaged},
      {"cuMemAllocAsync", (void *)cuMemAllocAsync},
      {"cuMemAllocFromPoolAsync", (void *)cuMemAllocFromPoolAsync},
      {"cuMemAllocPitch", (void *)cuMemAllocPitch_v2},
      {"cuMemAllocHost", (void *)cuMemAllocHost_v2},
      {"cuMemHostAlloc", (void *)cuMemHostAlloc},
      {"cuMemFree", (void *)cuMemFree_v2},
      {"cuMemFreeAsync", (void *)cuMemFreeAsync},
      {"cuMemFreeHost", (void *)cuMemFreeHost},
      {"cuMemHostRegister", (void *)cuMemHostRegister_v2},
      {"cuMemHostUnregister", (void *)cuMemHostUnregister},
      {"cuArrayCreate", (void *)cuArrayCreate_v2},
      {"cuArrayDestroy", (void *)cuArrayDestroy},
      {"cuCtxDestroy", (void *)cuCtxDestroy_v2},
      {"cuDevicePrimaryCtxReset", (void *)cuDevicePrimaryCtxReset_v2},
  };
  (void)flags;
  *function = NULL;
  for (unsigned place = 0; place < sizeof known / sizeof *known; ++place) {
    if (strcmp(symbol, known[place].name) == 0 && version >= 11030) {
      *function = known[place].function;
      return CUDA_SUCCESS;
    }
  }
  if (strcmp(symbol, "cuGetProcAddress") == 0) {
    *function = version >= 12000 ? (void *)cuGetProcAddress_v2 : (void *)cuGetProcAddress;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
  CUresult result = cuGetProcAddress(symbol, function, version, flags);
  if (status != NULL) {
    *status = result == CUDA_SUCCESS ? 0 : 1;
  }
  return result;
}
