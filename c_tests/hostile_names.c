/*
 * Frees again in functions whose names, and whose file's name, a test replaces in the compiled program, byte by byte,
 * by what a terminal would act on: hostile_names DEVICE KIND SCOPE THREAD.
 */
#include <string.h>
#include <sys/prctl.h>

#include "check.h"
#include "whofreed.h"

#line 20 "hostile_file_0123456789012345678901234567890123456789012345678901.c"
#define HOSTILE(number)                                                                                               \
  NOINLINE static void hostile_name_##number##_01234567890123456789012345678901234567890123456789(uint64_t at) {      \
    wf_deallocate(0, at, 0);                                                                                          \
    wf_deallocate(0, at, 0);                                                                                          \
    __asm__ volatile("" ::: "memory");                                                                                \
  }

HOSTILE(0)
HOSTILE(1)
HOSTILE(2)
HOSTILE(3)
HOSTILE(4)
HOSTILE(5)
HOSTILE(6)

static void (*const all[])(uint64_t) = {
    hostile_name_0_01234567890123456789012345678901234567890123456789,
    hostile_name_1_01234567890123456789012345678901234567890123456789,
    hostile_name_2_01234567890123456789012345678901234567890123456789,
    hostile_name_3_01234567890123456789012345678901234567890123456789,
    hostile_name_4_01234567890123456789012345678901234567890123456789,
    hostile_name_5_01234567890123456789012345678901234567890123456789,
    hostile_name_6_01234567890123456789012345678901234567890123456789,
};

int main(int argc, char **argv) {
  CHECK(argc == 5);
  CHECK(prctl(PR_SET_NAME, argv[4]) == 0);
  wf_device_open(0, argv[1], 1 << 20);
  wf_name_kind(3, argv[2]);
  const uint64_t scope = wf_scope_enter(argv[3]);
  for (size_t index = 0; index < sizeof all / sizeof *all; ++index) {
    const uint64_t address = 0x1000 * (index + 1);
    for (int life = 0; life < 3; ++life) {
      wf_allocate(0, address, 64, 3, 0);
      all[index](address);
    }
    wf_allocate(0, address + 64, 64, 3, 0); /* Never freed. */
  }
  wf_scope_leave(scope);
  return 0;
}
