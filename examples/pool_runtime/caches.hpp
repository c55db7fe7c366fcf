// The planted bugs: two places that keep buffers which their owners have freed, and free them once more.
#ifndef POOL_RUNTIME_CACHES_HPP
#define POOL_RUNTIME_CACHES_HPP

#include <deque>
#include <optional>

#include "device.hpp"

// Buffers to be freed at a later step.
class StaleBuffers {
 public:
  void remember(const Buffer &buffer, std::uint64_t due) { entries_.push_back({buffer, due}); }

  std::optional<Buffer> take_due(std::uint64_t step) {
    if (entries_.empty() || entries_.front().due > step) {
      return std::nullopt;
    }
    const Buffer buffer = entries_.front().buffer;
    entries_.pop_front();
    return buffer;
  }

 private:
  struct Entry {
    Buffer buffer;
    std::uint64_t due;
  };
  std::deque<Entry> entries_;
};

// Keeps the scratch buffers of compiled programs. Its entries outlive the buffers, and it does not know.
class ProgramCache {
 public:
  void insert(const Buffer &scratch, std::uint64_t due) { entries_.remember(scratch, due); }

  NOINLINE void evict(std::uint64_t step) {
    while (const std::optional<Buffer> buffer = entries_.take_due(step)) {
      ++truth.surplus_of_cache;
      truth.seen_at_culprit += buffer->deallocate() != WF_OK;
    }
  }

 private:
  StaleBuffers entries_;
};

// Records operators for a replay, and frees what they used when the recording ends.
class TraceCapture {
 public:
  void record(const Buffer &scratch, std::uint64_t due) { recorded_.remember(scratch, due); }

  NOINLINE void finish(std::uint64_t step) {
    while (const std::optional<Buffer> buffer = recorded_.take_due(step)) {
      ++truth.surplus_of_capture;
      truth.seen_at_culprit += buffer->deallocate() != WF_OK;
    }
  }

 private:
  StaleBuffers recorded_;
};

#endif
