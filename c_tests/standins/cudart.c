/* A stand-in for libcudart.so.12: as the real one it opens the driver, and asks it for its functions by name. */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cuda_types.h"

enum { CUDA_VERSION = 12040, cudaErrorInitializationError = 3 };

static int (*get)(const char *, void **, int, uint64_t, int *);

/* The driver's function of a name; never unloaded. */
static void *driver(const char *name) {
  void *function = NULL;
  if (get == NULL) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *found = library == NULL ? NULL : dlsym(library, "cuGetProcAddress_v2");
    if (found == NULL) {
      return NULL;
    }
    memcpy(&get, &found, sizeof found);
  }
  return get(name, &function, CUDA_VERSION, 0, NULL) == 0 ? function : NULL;
}

#define DRIVER(name, parameters, arguments)                                                                      \
  do {                                                                                                           \
    static int(*function) parameters;                                                                            \
    if (function == NULL) {                                                                                      \
      void *found = driver(name);                                                                                \
      memcpy(&function, &found, sizeof found);                                                                   \
    }                                                                                                            \
    cudaError_t result = function == NULL ? (cudaError_t)cudaErrorInitializationError : function arguments;      \
    return result;                                                                                               \
  } while (0)

cudaError_t cudaMalloc(void **pointer, size_t size) { DRIVER("cuMemAlloc", (void **, size_t), (pointer, size)); }
cudaError_t cudaMallocManaged(void **pointer, size_t size, unsigned flags) {
  DRIVER("cuMemAllocManaged", (void **, size_t, unsigned), (pointer, size, flags));
}
cudaError_t cudaMallocAsync(void **pointer, size_t size, cudaStream_t stream) {
  DRIVER("cuMemAllocAsync", (void **, size_t, cudaStream_t), (pointer, size, stream));
}
cudaError_t cudaMallocFromPoolAsync(void **pointer, size_t size, cudaMemPool_t pool, cudaStream_t stream) {
  DRIVER("cuMemAllocFromPoolAsync", (void **, size_t, cudaMemPool_t, cudaStream_t), (pointer, size, pool, stream));
}
cudaError_t cudaMallocPitch(void **pointer, size_t *pitch, size_t width, size_t height) {
  DRIVER("cuMemAllocPitch", (void **, size_t *, size_t, size_t, unsigned), (pointer, pitch, width, height, 4));
}
cudaError_t cudaMalloc3D(struct cudaPitchedPtr *pitched, struct cudaExtent extent) {
  pitched->xsize = extent.width;
  pitched->ysize = extent.height;
  DRIVER("cuMemAllocPitch", (void **, size_t *, size_t, size_t, unsigned),
         (&pitched->ptr, &pitched->pitch, extent.width, extent.height * extent.depth, 4));
}
cudaError_t cudaMallocHost(void **pointer, size_t size) {
  DRIVER("cuMemHostAlloc", (void **, size_t, unsigned), (pointer, size, 0));
}
cudaError_t cudaHostAlloc(void **pointer, size_t size, unsigned flags) {
  DRIVER("cuMemHostAlloc", (void **, size_t, unsigned), (pointer, size, flags));
}
cudaError_t cudaFree(void *pointer) { DRIVER("cuMemFree", (void *), (pointer)); }
cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream) {
  DRIVER("cuMemFreeAsync", (void *, cudaStream_t), (pointer, stream));
}
cudaError_t cudaFreeHost(void *pointer) { DRIVER("cuMemFreeHost", (void *), (pointer)); }
cudaError_t cudaHostRegister(void *pointer, size_t size, unsigned flags) {
  DRIVER("cuMemHostRegister", (void *, size_t, unsigned), (pointer, size, flags));
}
cudaError_t cudaHostUnregister(void *pointer) { DRIVER("cuMemHostUnregister", (void *), (pointer)); }
cudaError_t cudaMallocArray(cudaArray_t *array, const void *format, size_t width, size_t height, unsigned flags) {
  (void)width, (void)height, (void)flags;
  DRIVER("cuArrayCreate", (cudaArray_t *, const void *), (array, format));
}
cudaError_t cudaFreeArray(cudaArray_t array) { DRIVER("cuArrayDestroy", (cudaArray_t), (array)); }
cudaError_t cudaDeviceReset(void) { DRIVER("cuDevicePrimaryCtxReset", (int), (0)); }
