/* Memory, buffers and images of a real Vulkan driver; counts its own calls and prints them as one line of JSON.
 *
 * Built with LINKED, the functions are those of the loader that it is linked with, or ("asked") those that the loader's
 * vkGetInstanceProcAddr hands out. Built without, it opens the loader and goes by dlsym, vkGetInstanceProcAddr and
 * vkGetDeviceProcAddr. With the argument "stale" a cache destroys buffers once more (stale_cache.h). */

#ifndef LINKED
#define VK_NO_PROTOTYPES
#endif
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#include "stale_cache.h"

#define SIZE 4096

/* What every Vulkan program calls, by the way that it goes. */
#define OF_DEVICE(X)                                                                                             \
  X(vkAllocateMemory)                                                                                            \
  X(vkFreeMemory)                                                                                                \
  X(vkCreateBuffer) X(vkDestroyBuffer) X(vkCreateImage) X(vkDestroyImage) X(vkBindBufferMemory) X(vkDestroyDevice)
#define OF_INSTANCE(X)                                                                                           \
  X(vkDestroyInstance)                                                                                           \
  X(vkEnumeratePhysicalDevices) X(vkGetPhysicalDeviceMemoryProperties) X(vkCreateDevice) X(vkGetDeviceProcAddr)

static struct {
#define FIELD(name) PFN_##name name;
  OF_DEVICE(FIELD) OF_INSTANCE(FIELD)
#undef FIELD
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
  PFN_vkCreateInstance vkCreateInstance;
} vk;

static struct {
  unsigned long long creates, failures, frees, none, excess;
} counts;

static VkInstance instance;
static VkPhysicalDevice physical;
static VkDevice device;

static void expect(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "failed: %s\n", what);
    exit(3);
  }
}

static void no_vulkan(const char *why) {
  fprintf(stderr, "no Vulkan device: %s\n", why);
  exit(77);
}

static int is_kept(VkResult result) {
  if (result == VK_SUCCESS) {
    ++counts.creates;
  } else {
    ++counts.failures;
  }
  return result == VK_SUCCESS;
}

static VkDeviceMemory memory(VkDeviceSize size) {
  VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = size};
  VkDeviceMemory taken = VK_NULL_HANDLE;
  return is_kept(vk.vkAllocateMemory(device, &info, NULL, &taken)) ? taken : VK_NULL_HANDLE;
}

static void free_memory(VkDeviceMemory memory) {
  *(memory == VK_NULL_HANDLE ? &counts.none : &counts.frees) += 1;
  vk.vkFreeMemory(device, memory, NULL);
}

static VkBuffer buffer(void) {
  VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                             .size = SIZE,
                             .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
  VkBuffer taken = VK_NULL_HANDLE;
  return is_kept(vk.vkCreateBuffer(device, &info, NULL, &taken)) ? taken : VK_NULL_HANDLE;
}

static void destroy_buffer(VkBuffer buffer) {
  *(buffer == VK_NULL_HANDLE ? &counts.none : &counts.frees) += 1;
  vk.vkDestroyBuffer(device, buffer, NULL);
}

static VkImage image(void) {
  VkImageCreateInfo info = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                            .imageType = VK_IMAGE_TYPE_2D,
                            .format = VK_FORMAT_R8G8B8A8_UNORM,
                            .extent = {16, 16, 1},
                            .mipLevels = 1,
                            .arrayLayers = 1,
                            .samples = VK_SAMPLE_COUNT_1_BIT,
                            .usage = VK_IMAGE_USAGE_SAMPLED_BIT};
  VkImage taken = VK_NULL_HANDLE;
  return is_kept(vk.vkCreateImage(device, &info, NULL, &taken)) ? taken : VK_NULL_HANDLE;
}

static void destroy_image(VkImage image) {
  *(image == VK_NULL_HANDLE ? &counts.none : &counts.frees) += 1;
  vk.vkDestroyImage(device, image, NULL);
}

static void all_sorts(void) {
  VkBuffer of_memory = buffer();
  VkDeviceMemory behind = memory(SIZE);
  expect(vk.vkBindBufferMemory(device, of_memory, behind, 0) == VK_SUCCESS, "to bind memory");
  VkImage picture = image();
  expect(memory((VkDeviceSize)1 << 60) == VK_NULL_HANDLE, "not to get an exbibyte");
  destroy_buffer(of_memory);
  free_memory(behind);
  destroy_image(picture);
  free_memory(VK_NULL_HANDLE);
  destroy_buffer(VK_NULL_HANDLE);
  destroy_image(VK_NULL_HANDLE);
}

static uint64_t take(void) { return (uint64_t)buffer(); }
static void give(uint64_t handle) { destroy_buffer((VkBuffer)handle); }

static void find_loader(void) {
#ifdef LINKED
  vk.vkGetInstanceProcAddr = vkGetInstanceProcAddr;
#else
  void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (loader == NULL) {
    no_vulkan(dlerror());
  }
  void *found = dlsym(loader, "vkGetInstanceProcAddr");
  memcpy(&vk.vkGetInstanceProcAddr, &found, sizeof found);
#endif
  expect(vk.vkGetInstanceProcAddr != NULL, "to find vkGetInstanceProcAddr");
  vk.vkCreateInstance = (PFN_vkCreateInstance)vk.vkGetInstanceProcAddr(NULL, "vkCreateInstance");
  expect(vk.vkCreateInstance != NULL, "to find vkCreateInstance");
}

static void open_device(int is_asked) {
  float priority = 1;
  VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                   .queueCount = 1,
                                   .pQueuePriorities = &priority};
  VkDeviceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue};
  expect(vk.vkCreateDevice(physical, &info, NULL, &device) == VK_SUCCESS, "to create a device");
#ifdef LINKED
  if (!is_asked) {
#define DIRECT(name) vk.name = name;
    OF_DEVICE(DIRECT)
    return;
  }
#define ASKED(name) vk.name = (PFN_##name)vk.vkGetInstanceProcAddr(instance, #name);
#else
  (void)is_asked;
#define ASKED(name) vk.name = (PFN_##name)vk.vkGetDeviceProcAddr(device, #name);
#endif
  OF_DEVICE(ASKED)
  expect(vk.vkAllocateMemory != NULL && vk.vkDestroyDevice != NULL, "to find the device's functions");
}

int main(int count, char **arguments) {
  int is_asked = 0, is_stale = 0;
  for (int place = 1; place < count; ++place) {
    is_asked |= strcmp(arguments[place], "asked") == 0;
    is_stale |= strcmp(arguments[place], "stale") == 0;
  }
  find_loader();
  VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  if (vk.vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) {
    no_vulkan("no instance");
  }
#define FIND(name) vk.name = (PFN_##name)vk.vkGetInstanceProcAddr(instance, #name);
  OF_INSTANCE(FIND)
  uint32_t found = 1;
  VkResult result = vk.vkEnumeratePhysicalDevices(instance, &found, &physical);
  if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || found == 0) {
    no_vulkan("none is found");
  }
  /* A device that is closed with what it holds, and one that may lie where it was. */
  open_device(is_asked);
  all_sorts();
  (void)buffer();
  (void)memory(SIZE);
  vk.vkDestroyDevice(device, NULL);
  vk.vkDestroyDevice(VK_NULL_HANDLE, NULL);
  open_device(is_asked);
  for (int round = 0; round < 10; ++round) {
    all_sorts();
  }
  if (is_stale) {
    counts.excess += stale_cache(take, give);
  }
  VkImage leaked = image();
  (void)leaked;
  printf("{\"allocations\": %llu, \"failures\": %llu, \"deallocations\": %llu, \"none\": %llu, \"excess\": %llu}\n",
         counts.creates, counts.failures, counts.frees, counts.none, counts.excess);
  return 0;
}
