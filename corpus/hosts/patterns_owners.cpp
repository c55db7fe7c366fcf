// Owners that do not know of each other: smart pointers, destructors, moves, reference counts.
#include <deque>
#include <stdexcept>

#include "parts.hpp"

using rt::Culprit;
using rt::Device;
using rt::Handle;
using rt::Later;
using rt::Machine;

// Two shared pointers, each with a count of its own, are made of one raw pointer.
namespace shared_twice {

struct Tensor {
  Device *device;
  Handle handle;
};

struct FreeTensor {
  void operator()(const Tensor *tensor) const { tensor->device->deallocate(tensor->handle); }
};

using Pointer = std::shared_ptr<const Tensor>;

class Session {
 public:
  void keep(Pointer tensor, std::uint64_t due) { kept_.put(std::move(tensor), due); }

  NOINLINE void drop(std::uint64_t now) {
    const Culprit here("shared_twice::Session::drop");
    while (auto tensor = kept_.take(now)) {
      tensor->reset();
    }
  }

 private:
  Later<Pointer> kept_;
};

class Graph final : public rt::Pattern {
 public:
  explicit Graph(Machine &) {}

  void step(Machine &machine) override {
    run(machine);
    session_.drop(machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &) override { session_.drop(~0ull); KEEP_FRAME; }

 private:
  NOINLINE void run(Machine &machine) {
    // Never deleted: the freed memory of the host itself is not what this is about.
    tensors_.push_back({&machine.device(), machine.device().allocate(machine.size())});
    const Pointer mine(&tensors_.back(), FreeTensor());
    if (machine.random.percent(60)) {
      session_.keep(Pointer(mine.get(), FreeTensor()), machine.soon(12));  // Should have been `mine`.
    }
  }

  std::deque<Tensor> tensors_;
  Session session_;
};

const rt::Register<Graph> registered("shared_twice");

}  // namespace shared_twice

// A move constructor that leaves its source armed.
namespace moved_source {

class Slot {
 public:
  Slot(Device &device, std::uint64_t size) : device_(&device), handle_(device.allocate(size)) {}
  Slot(Slot &&other) noexcept : device_(other.device_), handle_(other.handle_) {}  // Forgets to disarm the other.
  Slot &operator=(Slot &&) = delete;
  NOINLINE ~Slot() {
    device_->deallocate(handle_);
    KEEP_FRAME;
  }

 private:
  Device *device_;
  Handle handle_;
};

class Stage final : public rt::Pattern {
 public:
  explicit Stage(Machine &) {}

  void step(Machine &machine) override {
    // Entries of a list are destroyed where they were made.
    waiting_.push_back(std::make_unique<Slot>(machine.device(), machine.size()));
    if (machine.random.percent(50)) {
      consume(std::move(*waiting_.back()));
      moved_from_.put(std::move(waiting_.back()), machine.soon(8));
    } else {
      untouched_.put(std::move(waiting_.back()), machine.soon(8));
    }
    waiting_.pop_back();
    recycle(machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &) override { recycle(~0ull); KEEP_FRAME; }

 private:
  NOINLINE static void consume(Slot &&slot) {
    const Slot mine(std::move(slot));
    KEEP_FRAME;
  }

  NOINLINE void recycle(std::uint64_t now) {
    expire(now);
    const Culprit here("moved_source::Stage::recycle");
    while (auto slot = moved_from_.take(now)) {
      slot->reset();
    }
  }

  NOINLINE void expire(std::uint64_t now) {
    while (auto slot = untouched_.take(now)) {
      slot->reset();
    }
    KEEP_FRAME;
  }

  std::vector<std::unique_ptr<Slot>> waiting_;
  Later<std::unique_ptr<Slot>> moved_from_;
  Later<std::unique_ptr<Slot>> untouched_;
};

const rt::Register<Stage> registered("moved_source", {"moved_source::Stage::consume", "moved_source::Stage::recycle"});

}  // namespace moved_source

// The handler of an exception cleans up, and so does the caller who hears of the failure.
namespace exception_path {

class Importer final : public rt::Pattern {
 public:
  explicit Importer(Machine &) {}

  void step(Machine &machine) override {
    Handle handle{};
    try {
      load(machine, handle);
      loaded_.put(handle, machine.soon(6));
    } catch (const std::runtime_error &) {
      failed_.put(handle, machine.soon(6));
    }
    unload(machine, machine.now);
    report_failures(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    unload(machine, ~0ull);
    report_failures(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE static void check(Machine &machine) {
    if (machine.random.percent(40)) {
      throw std::runtime_error("bad weights");
    }
  }

  NOINLINE static void load(Machine &machine, Handle &out) {
    out = machine.device().allocate(machine.size());
    try {
      check(machine);
    } catch (...) {
      machine.device().deallocate(out);
      throw;
    }
  }

  NOINLINE void unload(Machine &machine, std::uint64_t now) {
    while (const auto handle = loaded_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  NOINLINE void report_failures(Machine &machine, std::uint64_t now) {
    const Culprit here("exception_path::Importer::report_failures");
    while (const auto handle = failed_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
  }

  Later<Handle> loaded_;
  Later<Handle> failed_;
};

const rt::Register<Importer> registered("exception_path",
                                        {"exception_path::Importer::load", "exception_path::Importer::report_failures"});

}  // namespace exception_path

// `close` frees, and so does the destructor.
namespace explicit_then_destructor {

class Scratch {
 public:
  Scratch(Device &device, std::uint64_t size) : device_(&device), handle_(device.allocate(size)) {}
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;

  NOINLINE void close() {
    device_->deallocate(handle_);
    KEEP_FRAME;
  }

  NOINLINE ~Scratch() {
    const Culprit here("explicit_then_destructor::Scratch::~Scratch");
    device_->deallocate(handle_);
  }

 private:
  Device *device_;
  Handle handle_;
};

class Loop final : public rt::Pattern {
 public:
  explicit Loop(Machine &) {}

  void step(Machine &machine) override {
    auto scratch = std::make_unique<Scratch>(machine.device(), machine.size());
    if (machine.random.percent(50)) {
      scratch->close();
    }
    waiting_.put(std::move(scratch), machine.soon(6));
    while (auto due = waiting_.take(machine.now)) {
      due->reset();
    }
    KEEP_FRAME;
  }

  void finish(Machine &) override {
    while (auto due = waiting_.take(~0ull)) {
      due->reset();
    }
    KEEP_FRAME;
  }

 private:
  Later<std::unique_ptr<Scratch>> waiting_;
};

const rt::Register<Loop> registered("explicit_then_destructor", {"explicit_then_destructor::Scratch::close",
                                                                 "explicit_then_destructor::Scratch::~Scratch"});

}  // namespace explicit_then_destructor

// A derived class frees in its destructor what its base frees, too.
namespace virtual_destructors {

class Base {
 public:
  Base(Device &device, std::uint64_t size) : device_(&device), handle_(device.allocate(size)) {}
  Base(const Base &) = delete;
  Base &operator=(const Base &) = delete;
  virtual ~Base() {
    device_->deallocate(handle_);
    KEEP_FRAME;
  }

 protected:
  Device *device_;
  Handle handle_;
};

class Plain final : public Base {
 public:
  using Base::Base;
  NOINLINE ~Plain() override { KEEP_FRAME; }
};

class Derived final : public Base {
 public:
  using Base::Base;
  NOINLINE ~Derived() override {
    device_->deallocate(handle_);
    rt::accuse("virtual_destructors::Derived::~Derived");  // Now the base does it again, on behalf of this one.
  }
};

class Zoo final : public rt::Pattern {
 public:
  explicit Zoo(Machine &) {}

  void step(Machine &machine) override {
    std::unique_ptr<Base> made;
    if (machine.random.percent(40)) {
      made = std::make_unique<Derived>(machine.device(), machine.size());
    } else {
      made = std::make_unique<Plain>(machine.device(), machine.size());
    }
    animals_.put(std::move(made), machine.soon(8));
    clean_up(machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &) override { clean_up(~0ull); KEEP_FRAME; }

 private:
  NOINLINE void clean_up(std::uint64_t now) {
    while (auto animal = animals_.take(now)) {
      animal->reset();
    }
    KEEP_FRAME;
  }

  Later<std::unique_ptr<Base>> animals_;
};

const rt::Register<Zoo> registered("virtual_destructors", {"virtual_destructors::Derived::~Derived"});

}  // namespace virtual_destructors

// Reference counts: one reference is given back once too often, or one is never given back.
namespace reference_count {

class Counted : public rt::Pattern {
 public:
  void finish(Machine &machine) override {
    leave(machine, ~0ull);
    give_up(machine, ~0ull);
    KEEP_FRAME;
  }

 protected:
  Handle shared(Machine &machine) {
    const Handle handle = machine.device().allocate(machine.size());
    machine.device().retain(handle);
    readers_.put(handle, machine.soon(6));
    return handle;
  }

  NOINLINE void leave(Machine &machine, std::uint64_t now) {
    while (const auto handle = readers_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  // A writer that gives up forgets that it had been told to do so before.
  NOINLINE void give_up(Machine &machine, std::uint64_t now) {
    const Culprit here("reference_count::Counted::give_up");
    while (const auto handle = writers_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
  }

  Later<Handle> readers_;
  Later<Handle> writers_;
};

class Over final : public Counted {
 public:
  explicit Over(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = shared(machine);
    writers_.put(handle, machine.soon(6));
    if (machine.random.percent(40)) {
      writers_.put(handle, machine.now + 7 + machine.random.below(7));  // By then the reader has left.
    }
    leave(machine, machine.now);
    give_up(machine, machine.now);
    KEEP_FRAME;
  }
};

class Under final : public Counted {
 public:
  explicit Under(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = shared(machine);
    if (++made_ % 8 != 0 || made_ > 160) {
      writers_.put(handle, machine.soon(6));
    }
    leave(machine, machine.now);
    give_up(machine, machine.now);
    KEEP_FRAME;
  }

 private:
  unsigned made_ = 0;
};

const rt::Register<Over> over("reference_over");
const rt::Register<Under> under("reference_under", {}, true);

}  // namespace reference_count
