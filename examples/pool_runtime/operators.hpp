// Operators that allocate and free as they should, each at its own call sites. `run` returns the operator's scratch
// buffer, which it has freed already: nobody but the program cache and the capture has a use for it.
#ifndef POOL_RUNTIME_OPERATORS_HPP
#define POOL_RUNTIME_OPERATORS_HPP

#include <deque>

#include "caches.hpp"
#include "device.hpp"

// What an operator leaves for the next one: freed a few operators later.
class Activations {
 public:
  void keep(const Buffer &buffer) { waiting_.push_back(buffer); }

  NOINLINE void retire(std::size_t keep_at_most) {
    while (waiting_.size() > keep_at_most) {
      waiting_.front().deallocate();
      waiting_.pop_front();
    }
  }

 private:
  std::deque<Buffer> waiting_;
};

// What an operator runs in.
class Context {
 public:
  Context(Device &device, Activations &activations, ProgramCache &cache, TraceCapture &capture, std::uint64_t step)
      : device_(&device), activations_(&activations), cache_(&cache), capture_(&capture), step_(step) {}

  Device &device() const { return *device_; }

  void keep(const Buffer &buffer) const { activations_->keep(buffer); }

  // Every operator has its program compiled when its buffers are there; that makes room in the caches.
  NOINLINE void compile() const {
    cache_->evict(step_);
    capture_->finish(step_);
    asm volatile("");  // No tail call: the frame stays.
  }

 private:
  Device *device_;
  Activations *activations_;
  ProgramCache *cache_;
  TraceCapture *capture_;
  std::uint64_t step_;
};

class Matmul {
 public:
  NOINLINE static Buffer run(const Context &context) {
    const Buffer partial_sums(context.device(), 0x2000);
    context.keep(Buffer(context.device(), 0x4000));
    context.compile();
    partial_sums.deallocate();
    return partial_sums;
  }
};

class Conv2d {
 public:
  NOINLINE static Buffer run(const Context &context) {
    const Buffer halo(context.device(), 0x1000);
    const Buffer columns(context.device(), 0x6000);
    context.keep(Buffer(context.device(), 0x4000));
    context.compile();
    halo.deallocate();
    columns.deallocate();
    return columns;
  }
};

class Softmax {
 public:
  NOINLINE static Buffer run(const Context &context) {
    const Buffer exponents(context.device(), 0x800);
    context.keep(Buffer(context.device(), 0x800));
    context.compile();
    exponents.deallocate();
    return exponents;
  }
};

class LayerNorm {
 public:
  NOINLINE static Buffer run(const Context &context) {
    const Buffer mean(context.device(), 0x400);
    const Buffer variance(context.device(), 0x400);
    context.compile();
    variance.deallocate();
    mean.deallocate();
    return mean;
  }
};

class Attention {
 public:
  NOINLINE static Buffer run(const Context &context) {
    const Buffer scores(context.device(), 0x7000);
    context.compile();
    Softmax::run(context);
    context.keep(Buffer(context.device(), 0x4000));
    scores.deallocate();
    return scores;
  }
};

#endif
