/* A stand-in for libze_loader.so.1: the functions about unified shared memory, with their prototypes and results. Built with
 * DRIVER it is what the real loader loads, a driver that hands its functions out in tables. */

#include <stddef.h>
#include <stdint.h>

#include "slots.h"

typedef int ze_result_t;
typedef struct _ze_context_handle_t *ze_context_handle_t;
typedef struct _ze_device_handle_t *ze_device_handle_t;

enum {
  ZE_RESULT_SUCCESS = 0,
  ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY = 0x70000003,
  ZE_RESULT_ERROR_INVALID_ARGUMENT = 0x78000004
};

/* As many contexts as there are here; each has memory of its own. */
static struct slots contexts[2] = {{.base = 0x700000000000}, {.base = 0x710000000000}};
static unsigned char is_open[2];

static struct slots *memory_of(ze_context_handle_t context) { return (struct slots *)(void *)context; }

static ze_result_t take(ze_context_handle_t context, const void *description, size_t size, void **pointer) {
  uint64_t taken = description == NULL ? 0 : slots_take(memory_of(context), size);
  if (taken == 0) {
    return description == NULL ? ZE_RESULT_ERROR_INVALID_ARGUMENT : ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  *pointer = (void *)(uintptr_t)taken;
  return ZE_RESULT_SUCCESS;
}

ze_result_t zeInit(uint32_t flags) {
  (void)flags;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zeDriverGet(uint32_t *count, void **drivers) {
  if (*count > 0 && drivers != NULL) {
    drivers[0] = contexts;
  }
  *count = 1;
  return ZE_RESULT_SUCCESS;
}

ze_result_t zeContextCreate(void *driver, const void *description, ze_context_handle_t *context) {
  (void)driver, (void)description;
  for (unsigned place = 0; place < 2; ++place) {
    if (!is_open[place]) {
      is_open[place] = 1;
      *context = (ze_context_handle_t)(void *)&contexts[place];
      return ZE_RESULT_SUCCESS;
    }
  }
  return ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY;
}
ze_result_t zeContextDestroy(ze_context_handle_t context) {
  struct slots *memory = memory_of(context);
  slots_reset(memory);
  is_open[memory - contexts] = 0;
  return ZE_RESULT_SUCCESS;
}

ze_result_t zeMemAllocDevice(ze_context_handle_t context, const void *description, size_t size, size_t alignment,
                             ze_device_handle_t device, void **pointer) {
  (void)alignment, (void)device;
  return take(context, description, size, pointer);
}
ze_result_t zeMemAllocHost(ze_context_handle_t context, const void *description, size_t size, size_t alignment,
                           void **pointer) {
  (void)alignment;
  return take(context, description, size, pointer);
}
ze_result_t zeMemAllocShared(ze_context_handle_t context, const void *of_device, const void *of_host, size_t size,
                             size_t alignment, ze_device_handle_t device, void **pointer) {
  (void)alignment, (void)device;
  return take(context, of_host == NULL ? NULL : of_device, size, pointer);
}
ze_result_t zeMemFree(ze_context_handle_t context, void *pointer) {
  return slots_give(memory_of(context), (uintptr_t)pointer) ? ZE_RESULT_SUCCESS : ZE_RESULT_ERROR_INVALID_ARGUMENT;
}
ze_result_t zeMemFreeExt(ze_context_handle_t context, const void *description, void *pointer) {
  return description == NULL ? ZE_RESULT_ERROR_INVALID_ARGUMENT : zeMemFree(context, pointer);
}

#ifdef DRIVER

/* The places of the functions are those of <level_zero/ze_ddi.h>. */
ze_result_t zeGetGlobalProcAddrTable(int version, void **table) {
  (void)version;
  table[0] = (void *)zeInit;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zeGetDriverProcAddrTable(int version, void **table) {
  (void)version;
  table[0] = (void *)zeDriverGet;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zeGetContextProcAddrTable(int version, void **table) {
  (void)version;
  table[0] = (void *)zeContextCreate;
  table[1] = (void *)zeContextDestroy;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zeGetMemProcAddrTable(int version, void **table) {
  enum { FREE_EXT_SINCE = 0x10003 };
  table[0] = (void *)zeMemAllocShared;
  table[1] = (void *)zeMemAllocDevice;
  table[2] = (void *)zeMemAllocHost;
  table[3] = (void *)zeMemFree;
  if (version >= FREE_EXT_SINCE) {
    table[9] = (void *)zeMemFreeExt;
  }
  return ZE_RESULT_SUCCESS;
}

/* Without these the loader takes no driver. */
#define EMPTY(name)                                                                                              \
  ze_result_t name##ProcAddrTable(int version, void **table) {                                                   \
    (void)version, (void)table;                                                                                  \
    return ZE_RESULT_SUCCESS;                                                                                    \
  }
EMPTY(zeGetDevice) EMPTY(zeGetCommandQueue) EMPTY(zeGetCommandList) EMPTY(zeGetImage) EMPTY(zeGetFence)
EMPTY(zeGetEventPool) EMPTY(zeGetEvent) EMPTY(zeGetModule) EMPTY(zeGetModuleBuildLog) EMPTY(zeGetKernel)
EMPTY(zeGetSampler) EMPTY(zeGetPhysicalMem) EMPTY(zeGetVirtualMem) EMPTY(zetGetDevice) EMPTY(zetGetContext)
EMPTY(zetGetCommandList) EMPTY(zetGetModule) EMPTY(zetGetKernel) EMPTY(zetGetMetricGroup) EMPTY(zetGetMetric)
EMPTY(zetGetMetricStreamer) EMPTY(zetGetMetricQueryPool) EMPTY(zetGetMetricQuery) EMPTY(zetGetTracerExp)
EMPTY(zetGetDebug) EMPTY(zesGetDevice) EMPTY(zesGetDriver) EMPTY(zesGetScheduler) EMPTY(zesGetPerformanceFactor)
EMPTY(zesGetPower) EMPTY(zesGetFrequency) EMPTY(zesGetEngine) EMPTY(zesGetStandby) EMPTY(zesGetFirmware)
EMPTY(zesGetMemory) EMPTY(zesGetFabricPort) EMPTY(zesGetTemperature) EMPTY(zesGetPsu) EMPTY(zesGetFan)
EMPTY(zesGetLed) EMPTY(zesGetRas) EMPTY(zesGetDiagnostics)

#endif
