// A small device runtime: a pool of blocks that hands out what came back last, and buffers that live in it.
#ifndef POOL_RUNTIME_DEVICE_HPP
#define POOL_RUNTIME_DEVICE_HPP

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "whofreed.hpp"

#define NOINLINE __attribute__((noinline))

// What the program itself knows of its frees: the report is held against it.
struct Truth {
  std::atomic<std::uint64_t> allocations{0};
  std::atomic<std::uint64_t> deallocations{0};
  std::atomic<std::uint64_t> surplus_of_cache{0};
  std::atomic<std::uint64_t> surplus_of_capture{0};
  // Surplus frees at which a check on the spot would have noticed something.
  std::atomic<std::uint64_t> seen_at_culprit{0};
};

inline Truth truth;

struct Handle {
  std::uint64_t address;
  std::uint64_t life;  // Which of the block's lives is meant; the device's own secret.
};

class Device {
 public:
  Device(std::uint32_t id, int blocks) : id_(id), lives_(static_cast<std::size_t>(blocks)) {
    char name[32];
    std::snprintf(name, sizeof name, "device %u DRAM", static_cast<unsigned>(id));
    wf_device_open(id, name, static_cast<std::uint64_t>(blocks) * block_size);
    for (int block = blocks; block > 0; --block) {
      free_.push_back(base + static_cast<std::uint64_t>(block - 1) * block_size);
    }
  }

  NOINLINE Handle allocate(std::uint64_t size) {
    const Handle handle = take();
    ++truth.allocations;
    wf_allocate(id_, handle.address, size, 1, 0);
    return handle;
  }

  // Every free of the program comes through here. A handle whose block has another life by now is let pass in silence,
  // as many runtimes do: the program runs on, and nobody learns that it has a bug.
  NOINLINE wf_verdict deallocate(const Handle &handle) {
    ++truth.deallocations;
    const wf_verdict verdict = wf_deallocate(id_, handle.address, 0);
    give(handle);
    return verdict;
  }

 private:
  static constexpr std::uint64_t base = 0x20000000;
  static constexpr std::uint64_t block_size = 0x8000;

  static std::size_t index_of(std::uint64_t address) {
    return static_cast<std::size_t>((address - base) / block_size);
  }

  NOINLINE Handle take() {
    const std::lock_guard<std::mutex> guard(lock_);
    if (free_.empty()) {
      std::fputs("pool_runtime: the pool is exhausted\n", stderr);
      std::exit(1);
    }
    const std::uint64_t address = free_.back();  // The block that came back last.
    free_.pop_back();
    return {address, ++lives_[index_of(address)]};
  }

  NOINLINE void give(const Handle &handle) {
    const std::lock_guard<std::mutex> guard(lock_);
    std::uint64_t &life = lives_[index_of(handle.address)];
    if (life == handle.life && life % 2 == 1) {
      ++life;  // Odd: handed out; even: free.
      free_.push_back(handle.address);
    }
  }

  std::uint32_t id_;
  std::mutex lock_;
  std::vector<std::uint64_t> free_;
  std::vector<std::uint64_t> lives_;
};

// A piece of device memory, and the helper that all code frees by.
class Buffer {
 public:
  Buffer(Device &device, std::uint64_t size) : device_(&device), handle_(device.allocate(size)) {}

  NOINLINE wf_verdict deallocate() const {
    const wf_verdict verdict = device_->deallocate(handle_);
    asm volatile("");  // No tail call: the frame stays.
    return verdict;
  }

 private:
  Device *device_;
  Handle handle_;
};

#endif
