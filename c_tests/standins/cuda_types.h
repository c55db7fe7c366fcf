/* The types of cuda_runtime_api.h that the stand-in and its program need. */
#ifndef STANDINS_CUDA_TYPES_H
#define STANDINS_CUDA_TYPES_H

#include <stddef.h>

typedef int cudaError_t;
typedef struct CUstream_st *cudaStream_t;
typedef struct CUmemPoolHandle_st *cudaMemPool_t;
typedef struct cudaArray *cudaArray_t;
struct cudaPitchedPtr {
  void *ptr;
  size_t pitch, xsize, ysize;
};
struct cudaExtent {
  size_t width, height, depth;
};

#endif
