// Containers and callables of the standard library, and templates, between the culprit and the free.
#include <functional>
#include <unordered_map>
#include <variant>

#include "parts.hpp"

using rt::Culprit;
using rt::Device;
using rt::Handle;
using rt::Later;
using rt::Machine;

// A cache whose entries are freed by others, and that is cleared late.
namespace cache {

class Entry {
 public:
  Entry(Machine &machine, const Handle &handle) : machine_(&machine), handle_(handle) {}
  Entry(const Entry &) = delete;
  Entry &operator=(const Entry &) = delete;
  ~Entry() {
    machine_->device_of(handle_).deallocate(handle_);
    KEEP_FRAME;
  }

  const Handle &handle() const { return handle_; }

 private:
  Machine *machine_;
  Handle handle_;
};

class ProgramCache final : public rt::Pattern {
 public:
  explicit ProgramCache(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    const std::uint64_t key = handle.life;
    if (machine.random.percent(50)) {
      stale_.emplace(key, std::make_unique<Entry>(machine, handle));
      parts::release(machine, handle);
    } else {
      programs_.emplace(key, std::make_unique<Entry>(machine, handle));
      due_.put(key, machine.soon(8));
    }
    erase(machine.now);
    if (stale_.size() > 7) {
      clear();
    }
    KEEP_FRAME;
  }

  void finish(Machine &) override {
    erase(~0ull);
    clear();
    KEEP_FRAME;
  }

 private:
  using Entries = std::unordered_map<std::uint64_t, std::unique_ptr<Entry>>;

  NOINLINE void erase(std::uint64_t now) {
    while (const auto key = due_.take(now)) {
      programs_.erase(*key);
    }
    KEEP_FRAME;
  }

  NOINLINE void clear() {
    const Culprit here("cache::ProgramCache::clear");
    stale_.clear();
  }

  Entries programs_;
  Entries stale_;
  Later<std::uint64_t> due_;
};

const rt::Register<ProgramCache> registered("cache_cleared_late");

}  // namespace cache

// A move assignment that leaves its source armed: an erase in the middle shifts the elements.
namespace vector_erase {

class Slot {
 public:
  Slot(Machine &machine, std::uint64_t size) : machine_(&machine), handle_(machine.device().allocate(size)) {}
  Slot(Slot &&other) noexcept : machine_(std::exchange(other.machine_, nullptr)), handle_(other.handle_) {}
  Slot &operator=(Slot &&other) noexcept {
    free();
    machine_ = other.machine_;  // Should have been an exchange, as above.
    handle_ = other.handle_;
    return *this;
  }
  ~Slot() { free(); }

 private:
  void free() {
    if (machine_ != nullptr) {
      machine_->device_of(handle_).deallocate(handle_);
    }
    KEEP_FRAME;
  }

  Machine *machine_;
  Handle handle_;
};

class Batch final : public rt::Pattern {
 public:
  explicit Batch(Machine &) {}

  void step(Machine &machine) override {
    slots_.reserve(3);
    if (slots_.size() < 3) {
      slots_.emplace_back(machine, machine.size());
    } else {
      if (machine.random.percent(50)) {
        drop_first();
      }
      clear();
    }
    KEEP_FRAME;
  }

  void finish(Machine &) override { clear(); KEEP_FRAME; }

 private:
  NOINLINE void drop_first() {
    const Culprit here("vector_erase::Batch::drop_first");
    slots_.erase(slots_.begin());
  }

  NOINLINE void clear() {
    const Culprit here("vector_erase::Batch::clear");
    slots_.clear();
  }

  std::vector<Slot> slots_;
};

const rt::Register<Batch> registered("vector_erase", {"vector_erase::Batch::drop_first", "vector_erase::Batch::clear"});

}  // namespace vector_erase

// A copy of what must not be copied, in an optional; the original in a variant.
namespace optional_variant {

struct Lease {
  Lease(Machine &owner, const Handle &held) : machine(&owner), handle(held) {}
  Lease(const Lease &) = default;
  Lease &operator=(const Lease &) = default;
  ~Lease() {
    machine->device_of(handle).deallocate(handle);
    KEEP_FRAME;
  }

  Machine *machine;
  Handle handle;
};

class Plan final : public rt::Pattern {
 public:
  explicit Plan(Machine &) {}

  void step(Machine &machine) override {
    forget();
    if (slot_.index() == 0) {
      slot_.emplace<Lease>(machine, machine.device().allocate(machine.size()));
      return;
    }
    if (machine.random.percent(50)) {
      last_.emplace(std::get<Lease>(slot_));
    }
    switch_over();
    KEEP_FRAME;
  }

  void finish(Machine &) override {
    switch_over();
    forget();
    KEEP_FRAME;
  }

 private:
  NOINLINE void switch_over() {
    slot_.emplace<std::monostate>();
    KEEP_FRAME;
  }

  NOINLINE void forget() {
    const Culprit here("optional_variant::Plan::forget");
    last_.reset();
  }

  std::variant<std::monostate, Lease> slot_;
  std::optional<Lease> last_;
};

const rt::Register<Plan> registered("optional_variant");

}  // namespace optional_variant

// One of two callbacks is called twice, and frees twice.
namespace lambdas {

class Scheduler final : public rt::Pattern {
 public:
  explicit Scheduler(Machine &) {}

  void step(Machine &machine) override {
    arm(machine, machine.device().allocate(machine.size()));
    plan(machine, machine.device().allocate(machine.size()));
    call(machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &) override { call(~0ull); KEEP_FRAME; }

 private:
  using Callback = std::function<void()>;

  NOINLINE void arm(Machine &machine, const Handle &handle) {
    const Callback free = [&machine, handle] {
      const Culprit here("lambdas::Scheduler::arm");
      machine.device_of(handle).deallocate(handle);
    };
    callbacks_.put(free, machine.soon(5));
    if (machine.random.percent(30)) {
      callbacks_.put(free, machine.soon(15));
    }
  }

  NOINLINE void plan(Machine &machine, const Handle &handle) {
    callbacks_.put(
        [&machine, handle] {
          machine.device_of(handle).deallocate(handle);
          KEEP_FRAME;
        },
        machine.soon(5));
  }

  NOINLINE void call(std::uint64_t now) {
    while (const auto callback = callbacks_.take(now)) {
      (*callback)();
    }
    KEEP_FRAME;
  }

  Later<Callback> callbacks_;
};

const rt::Register<Scheduler> registered("lambda_called_twice");

}  // namespace lambdas

// One template, two instantiations; one of them forgets to forget.
namespace templates {

struct Plain {
  static constexpr unsigned keeps = 0;
};

struct Sticky {
  static constexpr unsigned keeps = 30;
};

template <class Policy>
struct Store {
  Later<Handle> held;
};

template <class Policy>
NOINLINE void drain(Machine &machine, Store<Policy> &store, std::uint64_t now) {
  const Culprit here(Policy::keeps == 0 ? nullptr : "templates::drain<templates::Sticky>");
  while (const auto handle = store.held.take(now)) {
    machine.device_of(*handle).deallocate(*handle);
    if (now != ~0ull && machine.random.percent(Policy::keeps)) {
      store.held.put(*handle, machine.soon(9));
    }
  }
}

class Pair final : public rt::Pattern {
 public:
  explicit Pair(Machine &) {}

  void step(Machine &machine) override {
    plain_.held.put(machine.device().allocate(machine.size()), machine.soon(6));
    sticky_.held.put(machine.device().allocate(machine.size()), machine.soon(6));
    drain(machine, plain_, machine.now);
    drain(machine, sticky_, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    drain(machine, plain_, ~0ull);
    drain(machine, sticky_, ~0ull);
    KEEP_FRAME;
  }

 private:
  Store<Plain> plain_;
  Store<Sticky> sticky_;
};

const rt::Register<Pair> registered("templates");

}  // namespace templates
