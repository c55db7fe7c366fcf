/* Memory objects of a real OpenCL runtime, in every way that they come and go; counts its own calls and prints them as
 * one line of JSON. With the argument "stale" a cache frees a buffer once more whose handle has been given to somebody
 * else by then, or to nobody. */

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 4096
/* In fewer, some layouts of the heap leave open who it was. */
#define ROUNDS 1600
#define SLOTS 6

static struct {
  unsigned long long creates, failures, retains, releases, excess;
} counts;

static cl_context context;

static cl_mem kept(cl_mem memory) {
  if (memory == NULL) {
    ++counts.failures;
  } else {
    ++counts.creates;
  }
  return memory;
}

static void retain(cl_mem memory) {
  ++counts.retains;
  if (clRetainMemObject(memory) != CL_SUCCESS) {
    exit(3);
  }
}

static void release(cl_mem memory) {
  ++counts.releases;
  (void)clReleaseMemObject(memory);
}

static cl_mem buffer(size_t size) {
  cl_int error = CL_SUCCESS;
  return kept(clCreateBuffer(context, CL_MEM_READ_WRITE, size, NULL, &error));
}

static void all_sorts(void) {
  cl_int error = CL_SUCCESS;
  cl_mem root = buffer(SIZE);
  cl_buffer_region region = {0, SIZE / 4};
  cl_mem part = kept(clCreateSubBuffer(root, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error));
  cl_image_format format = {CL_RGBA, CL_FLOAT};
  cl_image_desc description;
  memset(&description, 0, sizeof description);
  description.image_type = CL_MEM_OBJECT_IMAGE2D;
  description.image_width = 16;
  description.image_height = 16;
  cl_mem image = kept(clCreateImage(context, CL_MEM_READ_WRITE, &format, &description, NULL, &error));
  cl_mem none = kept(clCreateBuffer(context, CL_MEM_READ_WRITE, 0, NULL, &error)); /* CL_INVALID_BUFFER_SIZE */
  retain(root);
  /* The part keeps the root alive, by a reference that is none of the program's. */
  release(root);
  release(root);
  release(part);
  if (image != NULL) {
    release(image);
  }
  if (none != NULL) {
    release(none);
  }
}

static void shared_memory(void) {
  void *pointer = clSVMAlloc(context, CL_MEM_READ_WRITE, SIZE, 0);
  if (pointer == NULL) {
    ++counts.failures;
    return;
  }
  ++counts.creates;
  ++counts.releases;
  clSVMFree(context, pointer);
}

/* Keeps a call from being the last thing that a function does, which would leave no frame of it. */
static void use(cl_mem memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

static cl_mem cached[SLOTS];
static int is_cached[SLOTS];
static cl_mem held[SLOTS];

static unsigned chance(unsigned below) {
  static unsigned long long state = 20261126;
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (unsigned)(state >> 33) % below;
}

__attribute__((noinline)) void fill_cache(int slot) {
  cached[slot] = buffer(SIZE);
  is_cached[slot] = 1;
}

__attribute__((noinline)) void use_and_release(int slot) {
  release(cached[slot]);
  use(cached[slot]);
  is_cached[slot] = 0;
}

/* The culprit: takes entries for full that have been released by those who used them, and whose handles others may have. */
__attribute__((noinline)) void evict_stale(int slot) {
  ++counts.excess;
  release(cached[slot]);
  use(cached[slot]);
}

/* Innocent: what it gives back may be gone already, since the cache remembers the handle. */
__attribute__((noinline)) void somebody_takes(int slot) { held[slot] = buffer(SIZE); }

__attribute__((noinline)) void somebody_gives(int slot) {
  release(held[slot]);
  use(held[slot]);
  held[slot] = NULL;
}

static void stale(void) {
  for (int round = 0; round < ROUNDS; ++round) {
    int slot = (int)chance(SLOTS);
    if (chance(2) == 0) {
      if (held[slot] == NULL) {
        somebody_takes(slot);
      } else {
        somebody_gives(slot);
      }
    } else if (is_cached[slot]) {
      use_and_release(slot);
    } else {
      if (cached[slot] != NULL && chance(4) == 0) {
        evict_stale(slot);
      }
      fill_cache(slot);
    }
  }
  for (int slot = 0; slot < SLOTS; ++slot) {
    if (is_cached[slot]) {
      use_and_release(slot);
    }
    if (held[slot] != NULL) {
      somebody_gives(slot);
    }
  }
}

int main(int count, char **arguments) {
  cl_platform_id platform;
  cl_device_id device;
  cl_uint found = 0;
  if (clGetPlatformIDs(1, &platform, &found) != CL_SUCCESS || found == 0 ||
      clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, &found) != CL_SUCCESS || found == 0) {
    fprintf(stderr, "no OpenCL device\n");
    return 77;
  }
  cl_int error = CL_SUCCESS;
  context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
  if (error != CL_SUCCESS) {
    fprintf(stderr, "no OpenCL context: %d\n", error);
    return 77;
  }
  for (int round = 0; round < 10; ++round) {
    all_sorts();
  }
  shared_memory();
  if (count > 1 && strcmp(arguments[1], "stale") == 0) {
    stale();
  }
  cl_mem leaked = buffer(SIZE);
  (void)leaked;
  printf("{\"allocations\": %llu, \"failures\": %llu, \"retains\": %llu, \"deallocations\": %llu, \"excess\": %llu}\n",
         counts.creates, counts.failures, counts.retains, counts.releases, counts.excess);
  return 0;
}
