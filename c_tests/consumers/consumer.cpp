// What a user of the archive writes in C++: one free too many.
#include <cstdio>
#include <whofreed.hpp>

int main() {
  const whofreed::scope scope("consumer");
  wf_allocate(0, 0x1000, 64, 0, 1);
  wf_deallocate(0, 0x1000, 1);
  std::printf("%d\n", wf_deallocate(0, 0x1000, 1));
}
