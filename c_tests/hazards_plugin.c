/* A library that hazards.c opens by a relative path. */
#include "check.h"
#include "whofreed.h"

static NOINLINE void plugin_frees_again(void) { CHECK(wf_deallocate(1, 0x70, 7) == WF_ALREADY_FREED); }

void plugin_work(void);

void plugin_work(void) {
  CHECK(wf_allocate(1, 0x70, 64, 0, 7) == WF_OK);
  CHECK(wf_deallocate(1, 0x70, 7) == WF_OK);
  plugin_frees_again();
}
