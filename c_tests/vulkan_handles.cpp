// The same cache of stale handles as in vulkan_memory.c, by the C++ bindings of Khronos: buffers are destroyed by the end of a
// unique handle, a few frames above the loader. Counts its own calls and prints them as one line of JSON.

#include <cstdio>
#include <vulkan/vulkan.hpp>

#include "stale_cache.h"

static vk::Device device;
static unsigned long long creates, destroys;

static std::uint64_t take() {
  ++creates;
  vk::BufferCreateInfo info({}, 4096, vk::BufferUsageFlagBits::eStorageBuffer);
  return reinterpret_cast<std::uint64_t>(static_cast<VkBuffer>(device.createBufferUnique(info).release()));
}

static void give(std::uint64_t handle) {
  ++destroys;
  vk::Buffer buffer(reinterpret_cast<VkBuffer>(handle));
  vk::UniqueBuffer ends(buffer, vk::UniqueHandleTraits<vk::Buffer, VULKAN_HPP_DEFAULT_DISPATCHER_TYPE>::deleter(device));
}

int main() {
  try {
    vk::UniqueInstance instance = vk::createInstanceUnique(vk::InstanceCreateInfo());
    float priority = 1;
    vk::DeviceQueueCreateInfo queue({}, 0, 1, &priority);
    vk::UniqueDevice opened = instance->enumeratePhysicalDevices().at(0).createDeviceUnique(vk::DeviceCreateInfo({}, queue));
    device = *opened;
    unsigned long long excess = stale_cache(take, give);
    std::printf("{\"allocations\": %llu, \"deallocations\": %llu, \"excess\": %llu}\n", creates, destroys, excess);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "no Vulkan device: %s\n", error.what());
    return 77;
  }
  return 0;
}
