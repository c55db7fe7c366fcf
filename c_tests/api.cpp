// Everything in whofreed.hpp, linked or (with -DWHOFREED_WEAK) without the library.
#include "whofreed.hpp"

#include <cstring>

#include "check.h"

namespace {

constexpr std::uint32_t device = 3;

bool library_is_here() { return whofreed::stats().size != 0; }

// What a verdict is when the library is here; without it every one is WF_OK.
wf_verdict here(wf_verdict verdict) { return library_is_here() ? verdict : WF_OK; }

void buffers_release_once() {
  {
    whofreed::buffer first(device, 0x1000, 64, 0, 1);
    CHECK(first.held());
    whofreed::buffer second(std::move(first));
    CHECK(!first.held() && second.held());
    CHECK(second.release() == WF_OK);
    CHECK(second.release() == here(WF_ALREADY_FREED));
  }
  {
    whofreed::buffer dies(device, 0x1000, 64, 0, 2);
    whofreed::buffer other(device, 0x1040, 64, 0, 3);
    dies = std::move(other);
    CHECK(dies.address() == 0x1040 && dies.owner() == 3 && dies.device() == device);
  }
  CHECK(whofreed::stats().live == 0);
}

void guarded_deallocate() {
  int freed = 0;
  const auto real_free = [&freed]() noexcept { ++freed; };
  CHECK(wf_allocate(device, 0x2000, 64, 0, 4) == WF_OK);
  CHECK(whofreed::deallocate(device, 0x2000, 4, real_free) == WF_OK);
  CHECK(whofreed::deallocate(device, 0x2000, 4, real_free) == here(WF_ALREADY_FREED));
  CHECK(freed == (library_is_here() ? 1 : 2));
  CHECK(whofreed::deallocate(device, 0x2f00, 4, real_free) == here(WF_UNKNOWN));
  static_assert(noexcept(whofreed::deallocate(device, 0, 0, real_free)));
}

void callbacks() {
  int seen = 0;
  auto count = [&seen](const wf_excess &event) noexcept { seen += event.address == 0x3000 ? 1 : 100; };
  whofreed::on_excess(count);
  const int object = 0;
  const std::uint64_t owner = whofreed::owner_of(&object);
  CHECK(wf_allocate(device, 0x3000, 64, 0, owner) == WF_OK);
  CHECK(wf_deallocate(device, 0x3000, owner) == WF_OK);
  CHECK(wf_deallocate(device, 0x3000, owner) == here(WF_ALREADY_FREED));
  CHECK(seen == (library_is_here() ? 1 : 0));
  whofreed::on_excess(nullptr);
  CHECK(wf_deallocate(device, 0x3000, owner) == here(WF_ALREADY_FREED));
  CHECK(seen <= 1);
}

}  // namespace

int main() {
  const whofreed::scope scope("api.cpp");
  buffers_release_once();
  guarded_deallocate();
  callbacks();
  static_assert(whofreed::should_forward(WF_OK) && whofreed::should_forward(WF_UNKNOWN));
  static_assert(whofreed::should_forward(WF_INVALID) && !whofreed::should_forward(WF_ALREADY_FREED));
  static_assert(!whofreed::should_forward(WF_STALE_OWNER) && !whofreed::should_forward(WF_FOREIGN_OWNER));
  CHECK(std::strcmp(whofreed::name_of(WF_FOREIGN_OWNER), "foreign_owner") == 0);
  printf("{\"host\": \"api.cpp\", \"excess\": %d}\n", static_cast<int>(whofreed::stats().excess));
}
