// The shapes that a guilty stack can have, and programs in which nobody is guilty.
#include "parts.hpp"

using rt::Culprit;
using rt::Handle;
using rt::Later;
using rt::Machine;

// A tree is taken down by recursion; some nodes hang in it twice.
namespace recursion {

struct Node {
  Handle handle;
  std::vector<const Node *> children;
};

NOINLINE void destroy(Machine &machine, const Node &node) {
  const Culprit here("recursion::destroy");
  for (const Node *const child : node.children) {
    destroy(machine, *child);
  }
  machine.device_of(node.handle).deallocate(node.handle);
}

class Forest final : public rt::Pattern {
 public:
  explicit Forest(Machine &) {}

  void step(Machine &machine) override {
    Node leaf{machine.device().allocate(machine.size()), {}};
    Node left{machine.device().allocate(machine.size()), {&leaf}};
    Node right{machine.device().allocate(machine.size()), {}};
    if (machine.random.percent(40)) {
      right.children.push_back(&leaf);
    }
    const Node root{machine.device().allocate(machine.size()), {&left, &right}};
    destroy(machine, root);
    KEEP_FRAME;
  }
};

const rt::Register<Forest> registered("recursion");

}  // namespace recursion

// What the patterns below share: buffers that are freed in time, and a list of some that will be freed again.
namespace rt {

class Stale : public Pattern {
 protected:
  void make(Machine &machine, unsigned percent) {
    const Handle handle = machine.device().allocate(machine.size());
    held_.put(handle, machine.soon(5));
    if (machine.random.percent(percent)) {
      stale_.put(handle, machine.now + 5 + machine.random.below(6));
    }
  }

  Later<Handle> held_;
  Later<Handle> stale_;
};

}  // namespace rt

// The culprit is inlined into an innocent caller.
namespace inlined {

ALWAYS_INLINE void evict(Machine &machine, Later<Handle> &stale, std::uint64_t now) {
  const Culprit here("inlined::evict");
  while (const auto handle = stale.take(now)) {
    machine.device_of(*handle).deallocate(*handle);
  }
}

class Model final : public rt::Stale {
 public:
  explicit Model(Machine &) {}

  void step(Machine &machine) override {
    make(machine, 50);
    forward(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override { forward(machine, ~0ull); KEEP_FRAME; }

 private:
  NOINLINE void forward(Machine &machine, std::uint64_t now) {
    while (const auto handle = held_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    evict(machine, stale_, now);
    KEEP_FRAME;
  }
};

const rt::Register<Model> registered("inlined");

}  // namespace inlined

// The culprit leaves by a tail call: optimised, it has no frame of its own at the free.
namespace tail_called {

NOINLINE wf_verdict evict(rt::Device &device, const Handle &handle) {
  rt::accuse("tail_called::evict");
  return device.deallocate(handle);
}

class Model final : public rt::Stale {
 public:
  explicit Model(Machine &) {}

  void step(Machine &machine) override {
    make(machine, 50);
    forward(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override { forward(machine, ~0ull); KEEP_FRAME; }

 private:
  NOINLINE void forward(Machine &machine, std::uint64_t now) {
    while (const auto handle = held_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    while (const auto handle = stale_.take(now)) {
      evict(machine.device_of(*handle), *handle);
    }
    KEEP_FRAME;
  }
};

const rt::Register<Model> registered("tail_called");

}  // namespace tail_called

// Culprit and innocent free by the same helper, and so do the parts of the program.
namespace shared_leaf {

NOINLINE void release_all(Machine &machine, Later<Handle> &list, std::uint64_t now) {
  while (const auto handle = list.take(now)) {
    parts::release(machine, *handle);
  }
  KEEP_FRAME;
}

class Model final : public rt::Stale {
 public:
  explicit Model(Machine &) {}

  void step(Machine &machine) override {
    make(machine, 50);
    forward(machine, machine.now);
    evict(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    forward(machine, ~0ull);
    evict(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE void forward(Machine &machine, std::uint64_t now) {
    release_all(machine, held_, now);
    KEEP_FRAME;
  }

  NOINLINE void evict(Machine &machine, std::uint64_t now) {
    const Culprit here("shared_leaf::Model::evict");
    release_all(machine, stale_, now);
  }
};

const rt::Register<Model> registered("shared_leaf");

}  // namespace shared_leaf

// A session closes, and the model that it belongs to takes everything down once more.
namespace teardown {

class Model final : public rt::Pattern {
 public:
  explicit Model(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    session_.push_back(handle);
    owned_.push_back(handle);
    if (session_.size() > 4) {
      close_session(machine);
      // Every other time the model lives on, and has new buffers before it goes.
      if (machine.random.percent(50)) {
        owned_.push_back(machine.device().allocate(machine.size()));
        unload(machine);
      } else {
        owned_.clear();
      }
    }
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    close_session(machine);
    unload(machine);
    KEEP_FRAME;
  }

 private:
  NOINLINE void close_session(Machine &machine) {
    for (const Handle &handle : session_) {
      machine.device_of(handle).deallocate(handle);
    }
    session_.clear();
    KEEP_FRAME;
  }

  NOINLINE void unload(Machine &machine) {
    const Culprit here("teardown::Model::unload");
    for (const Handle &handle : owned_) {
      machine.device_of(handle).deallocate(handle);
    }
    owned_.clear();
  }

  std::vector<Handle> session_;
  std::vector<Handle> owned_;
};

const rt::Register<Model> registered("teardown", {"teardown::Model::close_session", "teardown::Model::unload"});

}  // namespace teardown

// Buffers from before anybody looked; freed once, or once again after others have had the address.
namespace before_tracking {

class Weights : public rt::Pattern {
 public:
  explicit Weights(Machine &machine) {
    for (int weight = 0; weight < 60; ++weight) {
      weights_.push_back(machine.device().allocate_untold(0x100));
    }
  }

  void step(Machine &machine) override {
    unload(machine);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    while (!weights_.empty()) {
      unload(machine);
    }
    KEEP_FRAME;
  }

 protected:
  NOINLINE void unload(Machine &machine) {
    if (!weights_.empty()) {
      const Handle weight = weights_.back();
      weights_.pop_back();
      machine.device_of(weight).deallocate(weight);
      unloaded_.put(weight, machine.now + 2 + machine.random.below(150));
    }
    KEEP_FRAME;
  }

  std::vector<Handle> weights_;
  Later<Handle> unloaded_;
};

class Twice final : public Weights {
 public:
  using Weights::Weights;

  void step(Machine &machine) override {
    unload(machine);
    evict(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    Weights::finish(machine);
    evict(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE void evict(Machine &machine, std::uint64_t now) {
    const Culprit here("before_tracking::Twice::evict");
    while (const auto weight = unloaded_.take(now)) {
      machine.device_of(*weight).deallocate(*weight);
    }
  }
};

const rt::Register<Weights> once("before_tracking", {}, true);
const rt::Register<Twice> twice("before_tracking_twice");

}  // namespace before_tracking

namespace clean {

class Nothing final : public rt::Pattern {
 public:
  explicit Nothing(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    parts::release(machine, handle);
    KEEP_FRAME;
  }
};

const rt::Register<Nothing> registered("clean", {}, true);

}  // namespace clean
