// A double free from code that was made at run time, and that says with __register_frame how it is unwound.

#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void pool_take(uint64_t address);
void pool_give(uint64_t address);
void __register_frame(void *begin);

static void give(void) { pool_give(4096); }

// push %rbp; mov %rsp, %rbp; call *%rdi; pop %rbp; ret
static const uint8_t CODE[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};

// The Linux Standard Base's .eh_frame: a common entry, an entry for the code, and the end.
struct frames {
  uint32_t common_length;
  uint32_t common_id;
  uint8_t common[16];
  uint32_t length;
  uint32_t common_distance;
  uint64_t begin;
  uint64_t size;
  uint8_t instructions[8];
  uint32_t end;
};

static struct frames frames = {
    .common_length = 20,
    // Version 1, no augmentation, factors 1 and -8, register 16 returns; CFA is rsp + 8, the return address below it.
    .common = {1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1},
    .length = 28,
    .common_distance = 28,
    .size = sizeof CODE,
    // After a byte the CFA is 16 away and rbp lies at -16, after three more it is reckoned from rbp.
    .instructions = {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6},
};

int main(void) {
  void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  memcpy(code, CODE, sizeof CODE);
  frames.begin = (uint64_t)(uintptr_t)code;
  __register_frame(&frames);
  void (*through)(void (*)(void));
  memcpy(&through, &code, sizeof through);
  pool_take(4096);
  through(give);
  through(give);
  printf("{\"events\": 3}\n");
  return 0;
}
