// Events before main, after main, in thread_local destructors and in exit handlers: 5 allocations, 2 excess frees, both
// while the process ends, nothing leaked.
#include <cstdlib>
#include <thread>

#include "check.h"
#include "whofreed.hpp"

namespace {

class early_buffer {
 public:
  explicit early_buffer(std::uint64_t address) : address_(address) {
    CHECK(wf_allocate(0, address_, 64, 0, address_) == WF_OK);
  }
  NOINLINE ~early_buffer() {
    if (wf_deallocate(0, address_, address_) != WF_OK) {
      std::_Exit(3);
    }
  }

 private:
  std::uint64_t address_;
};

// Frees at the end what main has freed already.
class late_cleaner {
 public:
  NOINLINE ~late_cleaner() {
    if (wf_deallocate(0, 0x9000, 9) != WF_ALREADY_FREED) {
      std::_Exit(4);
    }
  }
};

const early_buffer before_main(0x1000);
const late_cleaner cleaner;
thread_local early_buffer of_a_thread(0x2000);

NOINLINE void at_exit_handler() {
  if (wf_allocate(0, 0x3000, 64, 0, 3) != WF_OK || wf_deallocate(0, 0x3000, 3) != WF_OK ||
      wf_deallocate(0, 0x3000, 3) != WF_ALREADY_FREED) {
    std::_Exit(5);
  }
}

__attribute__((constructor)) void before_constructors() {
  CHECK(wf_allocate(0, 0x4000, 64, 0, 4) == WF_OK);
}

// Runs after all static destructors and exit handlers of C++.
__attribute__((destructor)) void after_destructors() {
  if (wf_deallocate(0, 0x4000, 4) != WF_OK) {
    std::_Exit(6);
  }
}

}  // namespace

int main() {
  CHECK(std::atexit(at_exit_handler) == 0);
  std::thread([] { (void)&of_a_thread; }).join();
  wf_stats_t stats = whofreed::stats();
  CHECK(stats.live >= 2 && stats.excess == 0);
  CHECK(wf_allocate(0, 0x9000, 64, 0, 9) == WF_OK);
  CHECK(wf_deallocate(0, 0x9000, 9) == WF_OK);
  puts("{\"host\": \"static_init\", \"allocations\": 5, \"excess\": 2}");
}
