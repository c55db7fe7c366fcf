/*
 * What no sane host would say: every call gets a verdict, none crashes.
 */
#include <string.h>

#include "check.h"
#include "whofreed.h"

int main(void) {
  const uint32_t last_device = UINT32_MAX;
  char long_name[70000];
  memset(long_name, 'x', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = '\0';

  /* A free before any allocate; nothing has been set up yet. */
  CHECK(wf_deallocate(0, 0x1000, 0) == WF_UNKNOWN);
  CHECK(wf_deallocate(last_device, 0, 1) == WF_UNKNOWN);
  CHECK(wf_deallocate(0, WF_ADDRESS_UNKNOWN, 99) == WF_UNKNOWN);

  /* Address 0, size 0, owner 0, the last device, the largest of everything. */
  CHECK(wf_allocate(last_device, 0, 0, 0, 0) == WF_OK);
  CHECK(wf_deallocate(last_device, 0, 0) == WF_OK);
  CHECK(wf_deallocate(last_device, 0, 0) == WF_ALREADY_FREED);
  CHECK(wf_allocate(last_device, UINT64_MAX - 1, UINT64_MAX, UINT32_MAX, UINT64_MAX) == WF_OK);
  CHECK(wf_deallocate(last_device, UINT64_MAX - 1, UINT64_MAX) == WF_OK);
  for (uint32_t device = 1; device != 0; device <<= 1) {
    CHECK(wf_allocate(device, 7, 0, 0, 0) == WF_OK);
    CHECK(wf_deallocate(device, 7, 0) == WF_OK);
  }

  /* Names: none, empty, not UTF-8, control characters, very long. */
  wf_device_open(last_device, NULL, 0);
  wf_device_open(last_device, "", UINT64_MAX);
  wf_device_open(0, "\xff\xfe\x1b[31m</script>", 0);
  wf_device_open(5, long_name, 1);
  wf_name_kind(0, NULL);
  wf_name_kind(UINT32_MAX, long_name);
  wf_scope_leave(wf_scope_enter(NULL));
  wf_scope_leave(0);
  wf_scope_leave(UINT64_MAX);
  wf_scope_leave(wf_scope_enter(long_name));
  for (int i = 0; i < 1000; ++i) { /* Never left. */
    wf_scope_enter("deep");
  }

  /* Devices that were never opened, opened twice, closed twice. */
  wf_device_close(4000000000u);
  wf_device_close(last_device);
  wf_device_close(last_device);
  wf_device_reset(last_device);
  wf_device_reset(17);

  CHECK(wf_retain(0, 0x9999, 0) == WF_UNKNOWN);
  CHECK(wf_view(0, 0x9999, 0, 0) == WF_UNKNOWN);
  CHECK(wf_allocate(0, WF_ADDRESS_UNKNOWN, 0, 0, 0) == WF_INVALID);
  CHECK(wf_deallocate(0, WF_ADDRESS_UNKNOWN, 0) == WF_INVALID);
  /* A view of itself. */
  CHECK(wf_allocate(9, 1, 1, 1, 5) == WF_OK);
  CHECK(wf_view(9, 1, 5, 5) == WF_OK);
  CHECK(wf_deallocate(9, 1, 5) == WF_OK);
  CHECK(wf_deallocate(9, 1, 5) == WF_ALREADY_FREED);

  wf_on_excess(NULL, long_name);
  wf_stats(NULL);
  CHECK(wf_dump_culprits(-1) < 0);
  CHECK(wf_dump_culprits(1 << 30) < 0);
  wf_owners_are_pointers(-7);
  puts("{\"host\": \"bad_input\", \"excess\": 2}");
  return 0;
}
