/*
 * Every function of whofreed.h, and every verdict in the contract's order. Exits with 0 when all are as promised.
 * api [quick]: quick makes no report, which takes long under valgrind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "whofreed.h"

enum { A = 11, B = 12, C = 13 }; /* Owners with unique ids. */

static int excess_seen;
static wf_verdict last_verdict;

static void count_excess(const wf_excess *event, void *user) {
  CHECK(event->size == sizeof *event);
  CHECK(event->frame_count > 0 && event->frames != NULL);
  CHECK(event->verdict == WF_ALREADY_FREED || event->verdict == WF_STALE_OWNER ||
        event->verdict == WF_FOREIGN_OWNER);
  CHECK(user == &excess_seen);
  last_verdict = event->verdict;
  ++*(int *)user;
}

/* A allocates X, A frees X, B allocates X, A frees X again, B frees X. */
static void stale_owner_example(void) {
  const uint64_t x = 0x1000;
  CHECK(wf_allocate(0, x, 64, 1, A) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  CHECK(wf_allocate(0, x, 64, 1, B) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_STALE_OWNER);
  CHECK(wf_deallocate(0, x, B) == WF_OK);
}

static void verdicts_in_order(void) {
  uint64_t x = 0x2000;
  /* 1. An owner with a live instance, also where a newer one belongs to another. */
  CHECK(wf_allocate(0, x, 64, 0, A) == WF_OK);
  CHECK(wf_allocate(0, x, 64, 0, B) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  CHECK(wf_deallocate(0, x, B) == WF_OK);
  /* 2. Ended by a reset: late once, then judged as any other; stale where another lives there. */
  x = 0x2100;
  wf_stats_t before, after;
  wf_stats(&before);
  wf_device_open(2, "simulated device", UINT64_C(1) << 30);
  CHECK(wf_allocate(2, x, 64, 0, A) == WF_OK);
  CHECK(wf_allocate(2, x + 1, 64, 0, A) == WF_OK);
  wf_device_reset(2);
  CHECK(wf_deallocate(2, x, A) == WF_OK);
  CHECK(wf_deallocate(2, x, A) == WF_ALREADY_FREED);
  CHECK(wf_allocate(2, x + 1, 64, 0, B) == WF_OK);
  CHECK(wf_deallocate(2, x + 1, A) == WF_STALE_OWNER);
  CHECK(wf_deallocate(2, x + 1, B) == WF_OK);
  wf_device_close(2);
  wf_stats(&after);
  CHECK(after.late == before.late + 1);
  /* 3. A live instance of nobody in particular. */
  x = 0x2200;
  CHECK(wf_allocate(0, x, 64, 0, 0) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  /* 4. Nobody in particular frees: the newest ends. */
  x = 0x2300;
  CHECK(wf_allocate(0, x, 64, 0, A) == WF_OK);
  CHECK(wf_allocate(0, x, 64, 0, B) == WF_OK);
  CHECK(wf_deallocate(0, x, 0) == WF_OK);
  CHECK(wf_deallocate(0, x, B) == WF_STALE_OWNER);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  /* 5. Live under others: held before, or never. */
  x = 0x2400;
  CHECK(wf_allocate(0, x, 64, 0, A) == WF_OK);
  CHECK(wf_deallocate(0, x, C) == WF_FOREIGN_OWNER);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  /* 6. Seen, not live; and 7. never seen. */
  CHECK(wf_deallocate(0, x, A) == WF_ALREADY_FREED);
  CHECK(wf_deallocate(0, x, 0) == WF_ALREADY_FREED);
  CHECK(wf_deallocate(0, 0x2500, A) == WF_UNKNOWN);
  CHECK(wf_deallocate(1, x, A) == WF_UNKNOWN); /* Another device. */
}

static void references_and_views(void) {
  const uint64_t x = 0x3000;
  CHECK(wf_allocate(0, x, 64, 0, A) == WF_OK);
  CHECK(wf_retain(0, x, A) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_OK);
  CHECK(wf_deallocate(0, x, A) == WF_ALREADY_FREED);
  CHECK(wf_retain(0, x, A) == WF_ALREADY_FREED);
  CHECK(wf_retain(0, x + 1, A) == WF_UNKNOWN);
  /* A free through a view uses up the root's right. */
  CHECK(wf_allocate(0, x + 2, 64, 0, A) == WF_OK);
  CHECK(wf_view(0, x + 2, B, A) == WF_OK);
  CHECK(wf_deallocate(0, x + 2, B) == WF_OK);
  CHECK(wf_deallocate(0, x + 2, A) == WF_ALREADY_FREED);
  CHECK(wf_view(0, x + 2, C, A) == WF_ALREADY_FREED);
}

static void address_not_known(void) {
  const uint64_t x = 0x4000;
  const uint64_t owner = 41;
  CHECK(wf_allocate(0, x, 64, 0, owner) == WF_OK);
  CHECK(wf_deallocate(0, WF_ADDRESS_UNKNOWN, owner) == WF_OK);
  CHECK(wf_deallocate(0, WF_ADDRESS_UNKNOWN, owner) == WF_ALREADY_FREED);
  CHECK(wf_deallocate(0, WF_ADDRESS_UNKNOWN, 0) == WF_INVALID);
  CHECK(wf_allocate(0, WF_ADDRESS_UNKNOWN, 64, 0, owner) == WF_INVALID);
  CHECK(wf_retain(0, WF_ADDRESS_UNKNOWN, owner) == WF_INVALID);
  CHECK(wf_view(0, WF_ADDRESS_UNKNOWN, owner, 0) == WF_INVALID);
}

int main(int argc, char **argv) {
  CHECK(wf_should_forward(WF_OK) && wf_should_forward(WF_UNKNOWN) && wf_should_forward(WF_INVALID));
  CHECK(!wf_should_forward(WF_ALREADY_FREED) && !wf_should_forward(WF_STALE_OWNER));
  CHECK(!wf_should_forward(WF_FOREIGN_OWNER));
  const int quick = argc > 1 && strcmp(argv[1], "quick") == 0;
  CHECK(strlen(wf_version()) >= 5);
  wf_owners_are_pointers(0);
  wf_name_kind(1, "circular buffer");
  wf_on_excess(count_excess, &excess_seen);
  const uint64_t outer = wf_scope_enter("api.c");
  const uint64_t inner = wf_scope_enter("stale owner");
  errno = 0x5a5a;
  stale_owner_example();
  CHECK(errno == 0x5a5a);
  CHECK(excess_seen == 1 && last_verdict == WF_STALE_OWNER);
  wf_scope_leave(inner);
  verdicts_in_order();
  references_and_views();
  address_not_known();
  wf_scope_leave(outer);

  CHECK(wf_flush() == 0);
  CHECK(wf_dump_culprits(-1) == -EBADF);
  const int nowhere = open("/dev/null", O_WRONLY);
  CHECK(nowhere >= 0 && (quick || wf_dump_culprits(nowhere) == 0));
  close(nowhere);

  wf_stats_t stats;
  wf_stats(&stats);
  CHECK(stats.size == sizeof stats);
  CHECK(stats.allocations == 14);
  CHECK(stats.deallocations == 27);
  CHECK(stats.excess == (uint64_t)excess_seen && stats.excess == 10);
  CHECK(stats.unknown == 2);
  CHECK(stats.late == 1);
  CHECK(stats.invalid == 4);
  CHECK(stats.live == 1); /* Ended by a reset; the late free came when another lived there. */
  CHECK(stats.dropped_events == 0);
  CHECK(stats.distinct_addresses == 13);
  wf_on_excess(NULL, NULL);
  CHECK(wf_deallocate(0, 0x1000, A) == WF_ALREADY_FREED);
  CHECK(excess_seen == 10);
  puts("{\"host\": \"api\", \"excess\": 11}");
  return 0;
}
