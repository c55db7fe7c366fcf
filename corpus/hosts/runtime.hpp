// The small runtime of the corpus: devices, handles, and buffers that clean up after themselves. Every event goes to
// whofreed and to the program's own account (account.hpp), which knows the holders whatever whofreed is told of them.
#ifndef CORPUS_RUNTIME_HPP
#define CORPUS_RUNTIME_HPP

#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "account.hpp"
#include "allocators.hpp"
#include "whofreed.hpp"

#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
// At the end of a function: its last call is no tail call, so its frame stays.
#define KEEP_FRAME asm volatile("")

namespace rt {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2862933555777941757u + 3037000493u) {}

  unsigned below(unsigned bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state_ >> 33) % bound;
  }

  bool percent(unsigned chance) { return below(100) < chance; }

 private:
  std::uint64_t state_;
};

class Device {
 public:
  // A trusting device takes back whatever it is told to: then a stale free releases the block of its new holder. The
  // other kind lets a stale free pass in silence.
  Device(std::uint32_t id, std::unique_ptr<Allocator> allocator, bool trusting)
      : id_(id), trusting_(trusting), allocator_(std::move(allocator)) {
    char name[32];
    std::snprintf(name, sizeof name, "device %u", static_cast<unsigned>(id));
    wf_device_open(id, name, 0);
  }

  std::uint32_t id() const { return id_; }

  NOINLINE Handle allocate(std::uint64_t size) {
    const std::lock_guard<std::mutex> guard(account_.lock);
    const Handle handle = take(size);
    account_.allocated(handle);
    wf_allocate(id_, handle.address, size, 1, account_.owner(handle));
    return handle;
  }

  // As if it had been allocated before whofreed came.
  Handle allocate_untold(std::uint64_t size) {
    const std::lock_guard<std::mutex> guard(account_.lock);
    const Handle handle = take(size);
    account_.held_before(handle);
    return handle;
  }

  // Every free of the program comes through here.
  NOINLINE wf_verdict deallocate(const Handle &handle) {
    const std::lock_guard<std::mutex> guard(account_.lock);
    const Account::Free free = account_.freed(id_, handle);
    const wf_verdict verdict = wf_deallocate(id_, handle.address, account_.owner(handle));
    if (free == Account::Free::last) {
      ::operator delete(reinterpret_cast<void *>(static_cast<std::uintptr_t>(handle.object)));
    }
    if (free == Account::Free::last || (free == Account::Free::surplus && trusting_)) {
      allocator_->give_back(handle.address);
    }
    return verdict;
  }

  void retain(const Handle &handle) {
    const std::lock_guard<std::mutex> guard(account_.lock);
    account_.retained(handle);
    wf_retain(id_, handle.address, account_.owner(handle));
  }

  // Another holder that looks into the same buffer.
  Handle view(const Handle &parent) {
    const std::lock_guard<std::mutex> guard(account_.lock);
    const Handle handle = alias_of(parent);
    account_.viewed(handle, parent);
    wf_view(id_, handle.address, account_.owner(handle), account_.owner(parent));
    return handle;
  }

  // Another holder of which nobody has been told.
  Handle alias(const Handle &parent) {
    const std::lock_guard<std::mutex> guard(account_.lock);
    return alias_of(parent);
  }

 private:
  Handle take(std::uint64_t size) {
    // An object of its own stands for the holder, so that pointers are used again as they are in real programs.
    const void *const object = ::operator new(48);
    return {id_, allocator_->take(size), size, account_.next_life(), whofreed::owner_of(object)};
  }

  // Its object is never deleted, so that its pointer stays its own: for the root's there is `take`.
  Handle alias_of(const Handle &parent) {
    const void *const object = new std::uint64_t[4];
    aliases_.emplace_back(static_cast<const std::uint64_t *>(object));
    return {id_, parent.address, parent.size, account_.next_life(), whofreed::owner_of(object)};
  }

  Account &account_ = Account::of_program();
  std::uint32_t id_;
  bool trusting_;
  std::unique_ptr<Allocator> allocator_;
  std::vector<std::unique_ptr<const std::uint64_t[]>> aliases_;
};

// A buffer as it should be: freed once, by whoever has it last.
class Buffer {
 public:
  Buffer(Device &device, std::uint64_t size) : device_(&device), handle_(device.allocate(size)) {}
  Buffer(Buffer &&other) noexcept : device_(std::exchange(other.device_, nullptr)), handle_(other.handle_) {}
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(device_, other.device_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Buffer() { free(); }

  NOINLINE void free() {
    if (device_ != nullptr) {
      std::exchange(device_, nullptr)->deallocate(handle_);
    }
    KEEP_FRAME;
  }

  const Handle &handle() const { return handle_; }

 private:
  Device *device_;
  Handle handle_;
};

// What is to be done at a later step.
template <class T>
class Later {
 public:
  void put(T entry, std::uint64_t due) { entries_.emplace_back(std::move(entry), due); }

  std::optional<T> take(std::uint64_t now) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->second <= now) {
        std::optional<T> due(std::move(entry->first));
        entries_.erase(entry);
        return due;
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<std::pair<T, std::uint64_t>> entries_;
};

class Machine;

// One way to free too often, or a way that only looks like it.
class Pattern {
 public:
  virtual ~Pattern() = default;
  virtual void step(Machine &machine) = 0;      // Now and then, in the middle of what the program does.
  virtual void finish(Machine &) {}             // When all steps are done, with the buffers of others still there.
};

// What all parts of a program share.
class Machine {
 public:
  Machine(std::uint64_t seed, std::uint64_t steps);

  // The device of this step.
  Device &device() { return *devices[(now / 16) % devices.size()]; }
  Device &device_of(const Handle &handle) { return *devices[handle.device]; }

  std::uint64_t size() { return 0x100u * (1 + random.below(8)); }

  // A step at which something is to be done.
  std::uint64_t soon(unsigned within) { return now + 1 + random.below(within); }

  // Lets the pattern take its turn, most of the time not.
  NOINLINE void tick();

  // Frees what the parts of the program still hold.
  NOINLINE void wind_down();

  // The whole program.
  NOINLINE void run(Pattern &pattern);

  std::vector<std::unique_ptr<Device>> devices;
  Random random;
  std::uint64_t now = 0;

 private:
  std::uint64_t steps_;
  unsigned chance_;
  Pattern *pattern_ = nullptr;
};

// How a pattern is found by its name. `pair`: the two functions of which either may have done it, for one who does not
// know the owners. `clean`: nothing is freed too often.
struct Entry {
  const char *name;
  std::unique_ptr<Pattern> (*make)(Machine &machine);
  std::vector<const char *> pair;
  bool clean;
};

std::vector<Entry> &entries();

template <class T>
struct Register {
  explicit Register(const char *name, std::vector<const char *> pair = {}, bool clean = false) {
    entries().push_back({name, [](Machine &machine) -> std::unique_ptr<Pattern> { return std::make_unique<T>(machine); },
                         std::move(pair), clean});
  }
};

}  // namespace rt

#endif
