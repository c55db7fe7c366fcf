/* Views: several of one owner, of a parent with several buffers, of views; and handles that no longer tell their address. */
#include "check.h"
#include "whofreed.h"

enum { A = 11, B = 22, C = 33 };
static const uint64_t X = 0x100, Y = 0x200;

static NOINLINE wf_verdict take(uint32_t device, uint64_t address, uint64_t owner) {
  return wf_allocate(device, address, 64, 0, owner);
}

static NOINLINE wf_verdict give(uint32_t device, uint64_t address, uint64_t owner) {
  return wf_deallocate(device, address, owner);
}

/* The free through the view ends the buffer that is looked into, not the parent's newest. */
static void parent_with_two_buffers(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK && take(device, Y, A) == WF_OK);
  CHECK(wf_view(device, X, B, A) == WF_OK);
  CHECK(give(device, X, B) == WF_OK);
  CHECK(give(device, Y, A) == WF_OK);
  CHECK(give(device, X, A) == WF_ALREADY_FREED); /* excess */
}

static void parent_that_freed_its_newer_buffer(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK && take(device, Y, A) == WF_OK);
  CHECK(give(device, Y, A) == WF_OK);
  CHECK(wf_view(device, X, B, A) == WF_OK);
  CHECK(give(device, X, B) == WF_OK);
}

static void one_owner_with_two_views(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK && take(device, Y, C) == WF_OK);
  CHECK(wf_view(device, X, B, A) == WF_OK && wf_view(device, Y, B, C) == WF_OK);
  CHECK(give(device, X, B) == WF_OK);
  CHECK(give(device, Y, B) == WF_OK);
}

static void view_whose_owner_allocates(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK);
  CHECK(wf_view(device, X, B, A) == WF_OK);
  CHECK(take(device, Y, B) == WF_OK);
  CHECK(give(device, X, B) == WF_OK);
  CHECK(give(device, Y, B) == WF_OK);
}

static void views_of_views(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK);
  CHECK(wf_view(device, X, B, A) == WF_OK && wf_view(device, X, C, B) == WF_OK);
  CHECK(give(device, X, C) == WF_OK);
  CHECK(take(device, X, 44) == WF_OK);
  CHECK(give(device, X, B) == WF_STALE_OWNER); /* excess */
  CHECK(give(device, X, 44) == WF_OK);
}

/* Another address is another buffer, whoever the parent is. */
static void view_of_no_buffer(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK);
  CHECK(wf_view(device, Y, B, A) == WF_UNKNOWN);
  CHECK(give(device, X, A) == WF_OK);
}

/* A handle that does not tell means what its owner still holds. */
static void address_not_known(uint32_t device) {
  CHECK(take(device, X, A) == WF_OK && take(device, Y, A) == WF_OK);
  CHECK(give(device, Y, A) == WF_OK);
  CHECK(give(device, WF_ADDRESS_UNKNOWN, A) == WF_OK);
  CHECK(give(device, WF_ADDRESS_UNKNOWN, A) == WF_ALREADY_FREED); /* excess */
  CHECK(take(device, X, A) == WF_OK);
  CHECK(wf_view(device, X, B, A) == WF_OK);
  CHECK(give(device, WF_ADDRESS_UNKNOWN, B) == WF_OK);
  /* More buffers at once than are remembered of an owner: then it is not known, and nobody is accused. */
  for (uint64_t i = 0; i < 20; i++) CHECK(take(device, X + i, C) == WF_OK);
  for (uint64_t i = 10; i < 20; i++) CHECK(give(device, X + i, C) == WF_OK);
  CHECK(give(device, WF_ADDRESS_UNKNOWN, C) == WF_UNKNOWN);
  for (uint64_t i = 0; i < 10; i++) CHECK(give(device, X + i, C) == WF_OK);
}

int main(void) {
  parent_with_two_buffers(1);
  parent_that_freed_its_newer_buffer(2);
  one_owner_with_two_views(3);
  view_whose_owner_allocates(4);
  views_of_views(5);
  view_of_no_buffer(6);
  address_not_known(7);
  printf("{\"host\": \"views\", \"excess\": 3}\n");
  return 0;
}
