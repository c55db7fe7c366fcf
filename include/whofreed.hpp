/*
 * whofreed for C++17: what whofreed.h declares, with scopes, guards and callables. Header only; nothing throws. The
 * weak mode works here too: define WHOFREED_WEAK before the include (see whofreed.h).
 */
#ifndef WHOFREED_HPP
#define WHOFREED_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "whofreed.h"

namespace whofreed {

/** Whether the real free should run: not for an excess free. Unknown addresses and invalid calls are forwarded. */
[[nodiscard]] constexpr bool should_forward(wf_verdict verdict) noexcept {
  return verdict != WF_ALREADY_FREED && verdict != WF_STALE_OWNER && verdict != WF_FOREIGN_OWNER;
}

/** The name of a verdict, as reports write it. */
[[nodiscard]] constexpr const char *name_of(wf_verdict verdict) noexcept {
  switch (verdict) {
    case WF_OK: return "ok";
    case WF_ALREADY_FREED: return "already_freed";
    case WF_STALE_OWNER: return "stale_owner";
    case WF_UNKNOWN: return "unknown";
    case WF_FOREIGN_OWNER: return "foreign_owner";
    case WF_INVALID: return "invalid";
  }
  return "?";
}

/** An object's pointer as an owner, for hosts without unique ids (declare it by wf_owners_are_pointers(1)). */
[[nodiscard]] inline std::uint64_t owner_of(const void *object) noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(object));
}

/** The totals so far. */
[[nodiscard]] inline wf_stats_t stats() noexcept {
  wf_stats_t totals{};
  ::wf_stats(&totals);
  return totals;
}

/** Judges a deallocate and calls `real_free()` only when it should run. Returns the verdict. */
template <class RealFree>
wf_verdict deallocate(std::uint32_t device, std::uint64_t address, std::uint64_t owner,
                      RealFree &&real_free) noexcept(noexcept(std::forward<RealFree>(real_free)())) {
  const wf_verdict verdict = ::wf_deallocate(device, address, owner);
  if (should_forward(verdict)) {
    std::forward<RealFree>(real_free)();
  }
  return verdict;
}

/**
 * Has `callable(const wf_excess &)` called for each excess free, on the freeing thread. It must be noexcept, and stay
 * alive until another is set or the process ends.
 */
template <class Callable>
void on_excess(Callable &callable) noexcept {
  static_assert(std::is_nothrow_invocable_v<Callable &, const wf_excess &>, "the callable must be noexcept");
  ::wf_on_excess(
      [](const wf_excess *event, void *user) { (*static_cast<Callable *>(user))(*event); },
      const_cast<void *>(static_cast<const volatile void *>(std::addressof(callable))));
}

template <class Callable>
void on_excess(const Callable &&) = delete; /* A temporary would be gone when it is called. */

/** No callback any more. */
inline void on_excess(std::nullptr_t) noexcept { ::wf_on_excess(nullptr, nullptr); }

/** Attaches a label to this thread's events for as long as it lives. It must end on the thread that made it. */
class scope {
 public:
  explicit scope(const char *label) noexcept : id_(::wf_scope_enter(label)) {}
  ~scope() { ::wf_scope_leave(id_); }
  scope(const scope &) = delete;
  scope &operator=(const scope &) = delete;

 private:
  std::uint64_t id_;
};

/**
 * One right to deallocate, held by an object: recorded when made, used up when it is released or dies. `release` can
 * be called by mistake more than once, which is recorded as what it is; the destructor uses up a right only when
 * nothing has done so before.
 */
class buffer {
 public:
  buffer() noexcept = default;
  buffer(std::uint32_t device, std::uint64_t address, std::uint64_t size, std::uint32_t kind,
         std::uint64_t owner) noexcept
      : device_(device), address_(address), owner_(owner),
        held_(::wf_allocate(device, address, size, kind, owner) == WF_OK) {}
  buffer(buffer &&other) noexcept
      : device_(other.device_), address_(other.address_), owner_(other.owner_),
        held_(std::exchange(other.held_, false)) {}
  buffer &operator=(buffer &&other) noexcept {
    if (this != &other) {
      drop();
      device_ = other.device_;
      address_ = other.address_;
      owner_ = other.owner_;
      held_ = std::exchange(other.held_, false);
    }
    return *this;
  }
  buffer(const buffer &) = delete;
  buffer &operator=(const buffer &) = delete;
  ~buffer() { drop(); }

  /** Judges the deallocate; run the real free when should_forward says so. */
  wf_verdict release() noexcept {
    held_ = false;
    return ::wf_deallocate(device_, address_, owner_);
  }

  [[nodiscard]] bool held() const noexcept { return held_; }
  [[nodiscard]] std::uint32_t device() const noexcept { return device_; }
  [[nodiscard]] std::uint64_t address() const noexcept { return address_; }
  [[nodiscard]] std::uint64_t owner() const noexcept { return owner_; }

 private:
  void drop() noexcept {
    if (held_) {
      release();
    }
  }

  std::uint32_t device_ = 0;
  std::uint64_t address_ = WF_ADDRESS_UNKNOWN;
  std::uint64_t owner_ = 0;
  bool held_ = false;
};

}  // namespace whofreed

#endif  // WHOFREED_HPP
