/* A stand-in for libamdhip64.so of ROCm 6: the functions about memory, with their prototypes and errors. Some call others by
 * their names, as the real one does for compatibility. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hip_types.h"
#include "slots.h"

typedef int hipError_t;

enum { hipSuccess = 0, hipErrorInvalidValue = 1, hipErrorOutOfMemory = 2, hipErrorNotFound = 500 };

static struct slots memory = {.base = 0x700000000000}, arrays = {.base = 0x600000000000};
static void *registered;

static hipError_t take(void **pointer, size_t size) {
  uint64_t taken = slots_take(&memory, size);
  if (taken == 0) {
    return hipErrorOutOfMemory;
  }
  *pointer = (void *)(uintptr_t)taken;
  return hipSuccess;
}

static hipError_t give(struct slots *slots, void *pointer) {
  return pointer == NULL || slots_give(slots, (uintptr_t)pointer) ? hipSuccess : hipErrorInvalidValue;
}

hipError_t hipMalloc(void **pointer, size_t size) { return take(pointer, size); }
hipError_t hipExtMallocWithFlags(void **pointer, size_t size, unsigned flags) {
  (void)flags;
  return take(pointer, size);
}
hipError_t hipMallocManaged(void **pointer, size_t size, unsigned flags) {
  (void)flags;
  return take(pointer, size);
}
hipError_t hipMallocAsync(void **pointer, size_t size, hipStream_t stream) {
  (void)stream;
  return take(pointer, size);
}
hipError_t hipMallocFromPoolAsync(void **pointer, size_t size, hipMemPool_t pool, hipStream_t stream) {
  (void)pool, (void)stream;
  return take(pointer, size);
}
hipError_t hipMallocPitch(void **pointer, size_t *pitch, size_t width, size_t height) {
  *pitch = (width + 255) / 256 * 256;
  return take(pointer, *pitch * height);
}
hipError_t hipMalloc3D(struct hipPitchedPtr *pitched, struct hipExtent extent) {
  pitched->xsize = extent.width;
  pitched->ysize = extent.height;
  return hipMallocPitch(&pitched->ptr, &pitched->pitch, extent.width, extent.height * extent.depth);
}
hipError_t hipHostMalloc(void **pointer, size_t size, unsigned flags) {
  (void)flags;
  return take(pointer, size);
}
hipError_t hipMallocHost(void **pointer, size_t size) { return hipHostMalloc(pointer, size, 0); }
hipError_t hipFree(void *pointer) { return give(&memory, pointer); }
hipError_t hipFreeAsync(void *pointer, hipStream_t stream) {
  (void)stream;
  return give(&memory, pointer);
}
hipError_t hipHostFree(void *pointer) { return give(&memory, pointer); }
hipError_t hipFreeHost(void *pointer) { return hipHostFree(pointer); }
hipError_t hipHostRegister(void *pointer, size_t size, unsigned flags) {
  (void)flags;
  if (pointer == NULL || size == 0 || registered != NULL) {
    return hipErrorInvalidValue;
  }
  registered = pointer;
  return hipSuccess;
}
hipError_t hipHostUnregister(void *pointer) {
  if (pointer == NULL || registered != pointer) {
    return hipErrorInvalidValue;
  }
  registered = NULL;
  return hipSuccess;
}
hipError_t hipMallocArray(hipArray_t *array, const void *format, size_t width, size_t height, unsigned flags) {
  uint64_t taken = format == NULL || width == 0 ? 0 : slots_take(&arrays, 1);
  (void)height, (void)flags;
  *array = (hipArray_t)(uintptr_t)taken;
  return taken == 0 ? hipErrorInvalidValue : hipSuccess;
}
hipError_t hipMalloc3DArray(hipArray_t *array, const void *format, struct hipExtent extent, unsigned flags) {
  return hipMallocArray(array, format, extent.width, extent.height, flags);
}
hipError_t hipFreeArray(hipArray_t array) { return give(&arrays, array); }
hipError_t hipArrayDestroy(hipArray_t array) { return hipFreeArray(array); }
hipError_t hipDeviceReset(void) {
  slots_reset(&memory);
  slots_reset(&arrays);
  registered = NULL;
  return hipSuccess;
}

hipError_t hipGetProcAddress(const char *symbol, void **function, int version, uint64_t flags, int *status) {
  static const struct {
    const char *name;
    void *function;
  } known[] = {
#define KNOWN(name) {#name, (void *)name},
      KNOWN(hipMalloc) KNOWN(hipExtMallocWithFlags) KNOWN(hipMallocManaged) KNOWN(hipMallocAsync)
          KNOWN(hipMallocFromPoolAsync) KNOWN(hipMallocPitch) KNOWN(hipMalloc3D) KNOWN(hipHostMalloc)
              KNOWN(hipMallocHost) KNOWN(hipFree) KNOWN(hipFreeAsync) KNOWN(hipHostFree) KNOWN(hipFreeHost)
                  KNOWN(hipHostRegister) KNOWN(hipHostUnregister) KNOWN(hipMallocArray) KNOWN(hipMalloc3DArray)
                      KNOWN(hipFreeArray) KNOWN(hipArrayDestroy) KNOWN(hipDeviceReset)};
  (void)version, (void)flags;
  *function = NULL;
  for (unsigned place = 0; place < sizeof known / sizeof *known; ++place) {
    if (strcmp(symbol, known[place].name) == 0) {
      *function = known[place].function;
    }
  }
  if (status != NULL) {
    *status = *function == NULL;
  }
  return *function == NULL ? hipErrorNotFound : hipSuccess;
}
