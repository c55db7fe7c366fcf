// Several holders of one buffer, and one address on several devices.
#include "parts.hpp"

using rt::Culprit;
using rt::Device;
using rt::Handle;
using rt::Later;
using rt::Machine;

// A pool of slots inside of one buffer, that does not notice when a slot is returned twice: then two users get it.
namespace pool_twice {

constexpr std::uint32_t pool_id = 7;

class SlotPool {
 public:
  SlotPool() {
    for (std::uint64_t slot = 24; slot > 0; --slot) {
      free_.push_back(slot * 0x40);
    }
  }

  NOINLINE Handle acquire() {
    const Handle slot{pool_id, free_.back(), 0x40, account_.next_life(), 0x7f0000 + next_ % 40 * 0x40};
    ++next_;
    free_.pop_back();
    account_.allocated(slot);
    wf_allocate(pool_id, slot.address, slot.size, 2, account_.owner(slot));
    return slot;
  }

  NOINLINE void give_back(const Handle &slot) {
    account_.freed(pool_id, slot);
    wf_deallocate(pool_id, slot.address, account_.owner(slot));
    free_.push_back(slot.address);
  }

 private:
  rt::Account &account_ = rt::Account::of_program();
  std::vector<std::uint64_t> free_;
  std::uint64_t next_ = 0;
};

class Workers final : public rt::Pattern {
 public:
  explicit Workers(Machine &) {}

  void step(Machine &machine) override {
    for (int user = 0; user < 2; ++user) {
      short_jobs_.put(pool_.acquire(), machine.soon(3));
    }
    long_jobs_.put(pool_.acquire(), machine.soon(8));
    finish_short(machine, machine.now);
    finish_long(machine.now);
    retry(machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    finish_short(machine, ~0ull);
    finish_long(~0ull);
    retry(~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE void finish_short(Machine &machine, std::uint64_t now) {
    while (const auto slot = short_jobs_.take(now)) {
      pool_.give_back(*slot);
      if (machine.random.percent(15)) {
        timed_out_.put(*slot, machine.soon(4));
      }
    }
    KEEP_FRAME;
  }

  NOINLINE void finish_long(std::uint64_t now) {
    while (const auto slot = long_jobs_.take(now)) {
      pool_.give_back(*slot);
    }
    KEEP_FRAME;
  }

  NOINLINE void retry(std::uint64_t now) {
    const Culprit here("pool_twice::Workers::retry");
    while (const auto slot = timed_out_.take(now)) {
      pool_.give_back(*slot);
    }
  }

  SlotPool pool_;
  Later<Handle> short_jobs_;
  Later<Handle> long_jobs_;
  Later<Handle> timed_out_;
};

const rt::Register<Workers> registered("pool_twice");

}  // namespace pool_twice

// A view of a view frees what belongs to the root.
namespace view_of_view {

class Slices final : public rt::Pattern {
 public:
  explicit Slices(Machine &) {}

  void step(Machine &machine) override {
    const Handle root = machine.device().allocate(machine.size());
    const Handle row = machine.device().view(root);
    const Handle cell = machine.device().view(row);
    roots_.put(root, machine.soon(4));
    if (machine.random.percent(40)) {
      cells_.put(cell, machine.now + 4 + machine.random.below(6));
    }
    drop_roots(machine, machine.now);
    drop_cells(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    drop_roots(machine, ~0ull);
    drop_cells(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE void drop_roots(Machine &machine, std::uint64_t now) {
    while (const auto handle = roots_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  NOINLINE void drop_cells(Machine &machine, std::uint64_t now) {
    const Culprit here("view_of_view::Slices::drop_cells");
    while (const auto handle = cells_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
  }

  Later<Handle> roots_;
  Later<Handle> cells_;
};

const rt::Register<Slices> registered("view_of_view");

}  // namespace view_of_view

// N objects for one buffer, each of which believes that it owns it.
namespace aliases {

class Mesh final : public rt::Pattern {
 public:
  explicit Mesh(Machine &) {}

  void step(Machine &machine) override {
    const Handle buffer = machine.device().allocate(machine.size());
    buffers_.put(buffer, machine.soon(5));
    if (machine.random.percent(25)) {
      for (unsigned shard = 0; shard < 3; ++shard) {
        shards_.put(machine.device().alias(buffer), machine.now + 1 + shard * 3);
      }
    }
    drop(machine, machine.now);
    drop_shards(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    drop(machine, ~0ull);
    drop_shards(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE void drop(Machine &machine, std::uint64_t now) {
    while (const auto handle = buffers_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  NOINLINE void drop_shards(Machine &machine, std::uint64_t now) {
    const Culprit here("aliases::Mesh::drop_shards");
    while (const auto handle = shards_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
  }

  Later<Handle> buffers_;
  Later<Handle> shards_;
};

const rt::Register<Mesh> registered("aliases");

}  // namespace aliases

// Growing frees the old buffer; a builder that keeps a copy of the old handle frees it once more.
namespace realloc_move {

class Builder final : public rt::Pattern {
 public:
  explicit Builder(Machine &) {}

  void step(Machine &machine) override {
    const Handle old = machine.device().allocate(machine.size());
    if (machine.random.percent(60)) {
      const bool remembers = machine.random.percent(50);
      rows_.put(grow(machine, old), machine.soon(7));
      if (remembers) {
        stale_.put(old, machine.soon(9));
      }
    } else {
      rows_.put(old, machine.soon(7));
    }
    publish(machine, machine.now);
    finish_rows(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    publish(machine, ~0ull);
    finish_rows(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE static Handle grow(Machine &machine, const Handle &old) {
    const Handle larger = machine.device().allocate(2 * old.size);
    machine.device().deallocate(old);
    return larger;
  }

  NOINLINE void publish(Machine &machine, std::uint64_t now) {
    while (const auto handle = rows_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  NOINLINE void finish_rows(Machine &machine, std::uint64_t now) {
    const Culprit here("realloc_move::Builder::finish_rows");
    while (const auto handle = stale_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
  }

  Later<Handle> rows_;
  Later<Handle> stale_;
};

const rt::Register<Builder> registered("realloc_move");

}  // namespace realloc_move

// A mirror frees on the wrong device, where the address means nothing or another's buffer.
namespace wrong_device {

class Mirror final : public rt::Pattern {
 public:
  explicit Mirror(Machine &machine) {
    if (machine.devices.size() < 2) {
      machine.devices.push_back(std::make_unique<Device>(
          1, std::make_unique<rt::Blocks>(rt::Blocks::Order::last_in_first_out, 256), false));
    }
  }

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    held_.put(handle, machine.soon(6));
    if (machine.random.percent(40)) {
      mirrored_.put(handle, machine.soon(6));
    }
    drop(machine, machine.now);
    drop_mirrored(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    drop(machine, ~0ull);
    drop_mirrored(machine, ~0ull);
    KEEP_FRAME;
  }

 private:
  NOINLINE void drop(Machine &machine, std::uint64_t now) {
    while (const auto handle = held_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  NOINLINE void drop_mirrored(Machine &machine, std::uint64_t now) {
    const Culprit here("wrong_device::Mirror::drop_mirrored");
    while (const auto handle = mirrored_.take(now)) {
      machine.devices[1 - handle->device]->deallocate(*handle);
    }
  }

  Later<Handle> held_;
  Later<Handle> mirrored_;
};

const rt::Register<Mirror> registered("wrong_device");

}  // namespace wrong_device
