/*
 * A host that is instrumented for good: it is not linked with libwhofreed.so. Alone, nothing happens and every verdict
 * is WF_OK; with the library in the process (`whofreed run`, LD_PRELOAD) the same binary is tracked. The argument
 * says which of the two is expected: "absent" or "present".
 */
#define WHOFREED_WEAK
#include "whofreed.h"
#include "whofreed.h" /* Including it again changes nothing. */

#include <string.h>

#include "check.h"

static void on_excess(const wf_excess *event, void *user) {
  *(uint64_t *)user = event->address;
}

int main(int argc, char **argv) {
  const int present = argc > 1 && strcmp(argv[1], "present") == 0;
  const wf_verdict freed_again = present ? WF_ALREADY_FREED : WF_OK;
  uint64_t excess_address = 0;

  wf_owners_are_pointers(0);
  wf_name_kind(1, "weak");
  wf_device_open(0, "device", 4096);
  wf_on_excess(on_excess, &excess_address);
  const uint64_t scope = wf_scope_enter("weak");
  CHECK(wf_allocate(0, 0x1000, 64, 1, 1) == WF_OK);
  CHECK(wf_retain(0, 0x1000, 1) == WF_OK);
  CHECK(wf_view(0, 0x1000, 2, 1) == WF_OK);
  CHECK(wf_deallocate(0, 0x1000, 1) == WF_OK);
  CHECK(wf_deallocate(0, 0x1000, 2) == WF_OK);
  CHECK(wf_deallocate(0, 0x1000, 1) == freed_again);
  CHECK(excess_address == (present ? 0x1000u : 0u));
  wf_scope_leave(scope);
  wf_device_reset(0);
  wf_device_close(0);
  CHECK(wf_flush() == 0);
  CHECK(present || wf_dump_culprits(1) == 0);
  CHECK((wf_version()[0] != '\0') == present);

  wf_stats_t stats;
  memset(&stats, 0xff, sizeof stats);
  wf_stats(&stats);
  CHECK(stats.size == (present ? sizeof stats : 0u));
  CHECK(stats.excess == (present ? 1u : 0u));
  CHECK(stats.reserved[0] == 0);
  wf_on_excess(NULL, NULL);
  printf("{\"host\": \"weak\", \"present\": %d}\n", present);
  return 0;
}
