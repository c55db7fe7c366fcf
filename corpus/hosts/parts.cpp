#include "parts.hpp"

#include <deque>

using rt::Buffer;
using rt::Handle;
using rt::Later;
using rt::Machine;

namespace parts {

namespace {

// What one part leaves for others; dies with the process.
struct Shared {
  Later<Handle> activations;
  std::deque<Handle> keys;
  Later<std::unique_ptr<Buffer>> samples;
  std::vector<Buffer> log;
};

Shared &shared() {
  static Shared *const shared = new Shared;
  return *shared;
}

}  // namespace

NOINLINE void release(Machine &machine, const Handle &handle) {
  machine.device_of(handle).deallocate(handle);
  KEEP_FRAME;
}

NOINLINE void embed(Machine &machine) {
  const Handle table = machine.device().allocate(0x400);
  machine.tick();
  machine.device_of(table).deallocate(table);
  KEEP_FRAME;
}

NOINLINE void matmul(Machine &machine) {
  const Handle sums = machine.device().allocate(0x800);
  shared().activations.put(machine.device().allocate(0x400), machine.soon(6));
  machine.tick();
  machine.device_of(sums).deallocate(sums);
  KEEP_FRAME;
}

NOINLINE void softmax(Machine &machine) {
  const Handle exponents = machine.device().allocate(0x200);
  machine.tick();
  release(machine, exponents);
  KEEP_FRAME;
}

NOINLINE void layer_norm(Machine &machine) {
  const Handle mean = machine.device().allocate(0x100);
  const Handle variance = machine.device().allocate(0x100);
  machine.tick();
  release(machine, variance);
  machine.device_of(mean).deallocate(mean);
  KEEP_FRAME;
}

NOINLINE void attention(Machine &machine) {
  Handle scores[3];
  for (Handle &score : scores) {
    score = machine.device().allocate(0x300);
  }
  softmax(machine);
  for (const Handle &score : scores) {
    machine.device_of(score).deallocate(score);
  }
  KEEP_FRAME;
}

NOINLINE void dropout(Machine &machine) {
  const auto mask = std::make_unique<Buffer>(machine.device(), 0x200);
  machine.tick();
  shared().samples.put(std::make_unique<Buffer>(machine.device(), machine.size()), machine.soon(10));
  KEEP_FRAME;
}

NOINLINE void cache_keys(Machine &machine) {
  shared().keys.push_back(machine.device().allocate(0x600));
  machine.tick();
  while (shared().keys.size() > 20) {
    const Handle oldest = shared().keys.front();
    shared().keys.pop_front();
    machine.device_of(oldest).deallocate(oldest);
  }
  KEEP_FRAME;
}

NOINLINE void log(Machine &machine) {
  shared().log.emplace_back(machine.device(), machine.size());
  machine.tick();
  if (shared().log.size() > 4) {
    shared().log.clear();
  }
  KEEP_FRAME;
}

void run(Machine &machine, unsigned which) {
  switch (which) {
    case 0: embed(machine); break;
    case 1: matmul(machine); break;
    case 2: softmax(machine); break;
    case 3: layer_norm(machine); break;
    case 4: attention(machine); break;
    case 5: dropout(machine); break;
    case 6: cache_keys(machine); break;
    default: log(machine); break;
  }
  KEEP_FRAME;
}

NOINLINE void retire(Machine &machine) {
  while (const auto activation = shared().activations.take(machine.now)) {
    machine.device_of(*activation).deallocate(*activation);
  }
  while (const auto sample = shared().samples.take(machine.now)) {
    (*sample)->free();
  }
  KEEP_FRAME;
}

NOINLINE void wind_down(Machine &machine) {
  machine.now += 1000;
  retire(machine);
  for (const Handle &key : shared().keys) {
    release(machine, key);
  }
  shared().keys.clear();
  shared().log.clear();
  KEEP_FRAME;
}

}  // namespace parts
