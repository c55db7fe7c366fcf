/*
 * The seed table: 8,876 buffers on 8 devices. 7,914 are freed as often as they were allocated, 24 are not freed,
 * 938 are freed too often. Among these is buffer 694960736 on device 4: allocated 1,112 times, freed 2,133 times,
 * 1,021 too many. The other 937, j = 1 ... 937, are allocated 1 + j % 3 times and freed 1 + j % 5 times too often,
 * which is 2,810 in excess: 3,831 excess frees in all, out of 26,602 deallocations of 22,795 allocations.
 *
 * seed_table [guard] [no-owners]: guarded (also by guard=1 in WHOFREED_OPTIONS) it skips what should not be forwarded;
 * no-owners says 0 for every owner. It prints its own counts, to be compared with the report.
 */
#include <string.h>

#include "check.h"
#include "whofreed.h"

enum { BALANCED = 7914, NOT_FREED = 24, OVER_FREED = 937, DEVICES = 8, SIZE = 1024 };

#define SPECIAL_ADDRESS UINT64_C(694960736)
#define SPECIAL_DEVICE 4u

static int guarded, without_owners;
static uint64_t owners;
static long allocations, deallocations, operator_frees, cache_frees;
static long forwarded, blocked, special_forwarded, special_blocked;

NOINLINE static uint64_t operator_allocate(uint32_t device, uint64_t address) {
  const uint64_t owner = without_owners ? 0 : ++owners;
  ++allocations;
  CHECK(wf_allocate(device, address, SIZE, 1, owner) == WF_OK);
  return owner;
}

NOINLINE static void runtime_free(uint32_t device, uint64_t address, uint64_t owner) {
  const wf_verdict verdict = wf_deallocate(device, address, owner);
  const int skip =
      guarded && (verdict == WF_ALREADY_FREED || verdict == WF_STALE_OWNER || verdict == WF_FOREIGN_OWNER);
  ++deallocations;
  forwarded += !skip;
  blocked += skip;
  if (device == SPECIAL_DEVICE && address == SPECIAL_ADDRESS) {
    special_forwarded += !skip;
    special_blocked += skip;
  }
}

NOINLINE static void operator_free(uint32_t device, uint64_t address, uint64_t owner) {
  runtime_free(device, address, owner);
  ++operator_frees; /* After the call, so that the frame is there to be seen. */
}

NOINLINE static void program_cache_evict(uint32_t device, uint64_t address, uint64_t owner) {
  runtime_free(device, address, owner);
  ++cache_frees;
}

/* So many lives at one address, and so many surplus frees: every other one hits the buffer's next life. */
static void live(uint32_t device, uint64_t address, int lives, int surplus) {
  uint64_t stale = 0;
  int pending = 0;
  for (int life = 0; life < lives; ++life) {
    const uint64_t owner = operator_allocate(device, address);
    if (pending) {
      program_cache_evict(device, address, stale);
      pending = 0;
    }
    operator_free(device, address, owner);
    stale = owner;
    /* What is left is spread over the lives that are left. */
    for (int due = surplus / (lives - life) + (surplus % (lives - life) != 0); due > 0; --due) {
      if (due == 1 && life % 2 == 0 && life + 1 < lives) {
        pending = 1;
      } else {
        program_cache_evict(device, address, stale);
      }
      --surplus;
    }
  }
  CHECK(surplus == 0 && !pending);
}

int main(int argc, char **argv) {
  const char *options = getenv("WHOFREED_OPTIONS");
  guarded = options != NULL && strstr(options, "guard=1") != NULL;
  for (int i = 1; i < argc; ++i) {
    guarded |= strcmp(argv[i], "guard") == 0;
    without_owners |= strcmp(argv[i], "no-owners") == 0;
  }
  wf_name_kind(1, "circular buffer");
  for (uint32_t device = 0; device < DEVICES; ++device) {
    char name[32];
    snprintf(name, sizeof name, "chip %u DRAM", device);
    wf_device_open(device, name, UINT64_C(12) << 30);
  }
  uint64_t address = 0x40000000;
  int i = 0;
  for (int j = 1; j <= BALANCED; ++j, ++i, address += SIZE) {
    live((uint32_t)(i % DEVICES), address, 1 + j % 4, 0);
  }
  for (int j = 1; j <= NOT_FREED; ++j, ++i, address += SIZE) {
    operator_allocate((uint32_t)(i % DEVICES), address);
  }
  for (int j = 1; j <= OVER_FREED; ++j, ++i, address += SIZE) {
    live((uint32_t)(i % DEVICES), address, 1 + j % 3, 1 + j % 5);
  }
  live(SPECIAL_DEVICE, SPECIAL_ADDRESS, 1112, 1021);
  CHECK(operator_frees == allocations - NOT_FREED && operator_frees + cache_frees == deallocations);

  printf("{\"host\": \"seed_table\", \"allocations\": %ld, \"deallocations\": %ld, \"excess\": %ld, "
         "\"forwarded\": %ld, \"blocked\": %ld, \"special_forwarded\": %ld, \"special_blocked\": %ld}\n",
         allocations, deallocations, deallocations - (allocations - NOT_FREED), forwarded, blocked,
         special_forwarded, special_blocked);
  return 0;
}
