// A program with a planted bug, to see who is blamed for it. It runs a model of a few operators on a small device
// runtime, and prints the truth as one line of JSON: how many surplus frees each culprit did, and how many excess
// frees a check on the spot would have seen at the culprits; it sees the others at innocent code, whose buffers the
// culprits had freed.
//
// pool_runtime [one|two|sparse|heavy|threads|devices|clean] [SEED [STEPS]]
//   one      ProgramCache::evict frees 12 % of all scratch buffers again (the default)
//   two      TraceCapture::finish does so too, with 6 %
//   sparse   2 %        heavy    50 %
//   threads  four threads share a device, each with its own cache
//   devices  two devices, the same addresses on both
//   clean    no bug
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "caches.hpp"
#include "device.hpp"
#include "operators.hpp"

namespace {

struct Variant {
  const char *name;
  unsigned cache_percent;
  unsigned capture_percent;
  int threads;
  std::uint32_t devices;
};

constexpr Variant variants[] = {
    {"one", 12, 0, 1, 1},    {"two", 12, 6, 1, 1},     {"sparse", 2, 0, 1, 1}, {"heavy", 50, 0, 1, 1},
    {"threads", 12, 0, 4, 1}, {"devices", 12, 0, 1, 2}, {"clean", 0, 0, 1, 1},
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2862933555777941757u + 3037000493u) {}

  unsigned below(unsigned bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state_ >> 33) % bound;
  }

 private:
  std::uint64_t state_;
};

Buffer run_operator(unsigned which, const Context &context) {
  switch (which) {
    case 0: return Matmul::run(context);
    case 1: return Conv2d::run(context);
    case 2: return Softmax::run(context);
    case 3: return LayerNorm::run(context);
    default: return Attention::run(context);
  }
}

NOINLINE void run_model(const Variant &variant, std::vector<Device *> devices, std::uint64_t seed,
                        std::uint64_t steps) {
  Random random(seed);
  std::vector<Activations> activations(devices.size());
  ProgramCache cache;
  TraceCapture capture;
  for (std::uint64_t step = 0; step < steps; ++step) {
    const std::size_t chosen = (step / 16) % devices.size();
    const Context context(*devices[chosen], activations[chosen], cache, capture, step);
    const Buffer scratch = run_operator(random.below(5), context);
    const unsigned dice = random.below(100);
    const std::uint64_t due = step + 1 + random.below(2);
    if (dice < variant.cache_percent) {
      cache.insert(scratch, due);
    } else if (dice < variant.cache_percent + variant.capture_percent) {
      capture.record(scratch, due);
    }
    activations[chosen].retire(1 + random.below(8));
  }
  for (Activations &waiting : activations) {
    waiting.retire(0);
  }
}

const Variant *variant_named(const char *name) {
  for (const Variant &variant : variants) {
    if (std::strcmp(variant.name, name) == 0) {
      return &variant;
    }
  }
  return nullptr;
}

}  // namespace

int main(int argc, char **argv) {
  const Variant *variant = variant_named(argc > 1 ? argv[1] : "one");
  if (variant == nullptr) {
    std::fprintf(stderr, "pool_runtime: there is no variant %s\n", argv[1]);
    return 2;
  }
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const std::uint64_t steps = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 4000;

  wf_name_kind(1, "device buffer");
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<Device *> lent;
  for (std::uint32_t id = 0; id < variant->devices; ++id) {
    devices.push_back(std::make_unique<Device>(id, 256));
    lent.push_back(devices.back().get());
  }
  std::vector<std::thread> others;
  for (int index = 1; index < variant->threads; ++index) {
    const std::uint64_t own_seed = seed + 1000u * static_cast<std::uint64_t>(index);
    others.emplace_back([=] { run_model(*variant, lent, own_seed, steps); });
  }
  run_model(*variant, lent, seed, steps);
  for (std::thread &other : others) {
    other.join();
  }

  const unsigned long long cache = truth.surplus_of_cache;
  const unsigned long long capture = truth.surplus_of_capture;
  const unsigned long long seen = truth.seen_at_culprit;
  const unsigned long long allocations = truth.allocations;
  const unsigned long long deallocations = truth.deallocations;
  std::printf("{\"host\": \"pool_runtime\", \"variant\": \"%s\", \"allocations\": %llu, \"deallocations\": %llu, "
              "\"excess\": %llu, \"surplus\": {\"ProgramCache::evict\": %llu, \"TraceCapture::finish\": %llu}, "
              "\"seen_at_culprits\": %llu}\n",
              variant->name, allocations, deallocations, cache + capture, cache, capture, seen);
}
