/* The types of hip_runtime_api.h that the stand-in and its program need. */
#ifndef STANDINS_HIP_TYPES_H
#define STANDINS_HIP_TYPES_H

#include <stddef.h>

typedef struct ihipStream_t *hipStream_t;
typedef struct ihipMemPoolHandle_t *hipMemPool_t;
typedef struct hipArray *hipArray_t;
struct hipExtent {
  size_t width, height, depth;
};
struct hipPitchedPtr {
  void *ptr;
  size_t pitch, xsize, ysize;
};

#endif
