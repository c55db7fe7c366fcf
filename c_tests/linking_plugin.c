/*
 * A library that is opened by linking.c in every way; what it is built as is told by macros:
 * INNER names a library that it opens itself, by its bare name, which only its own RUNPATH leads to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Too large for the room that the loader keeps: it lies in a block of the heap that the first touch takes. */
static __thread char in_thread[20000];
static pthread_t helper;
static int has_helper;

static void *take_and_give(void *argument) {
  for (int i = 0; i < 1000; ++i) {
    void *volatile buffer = malloc((size_t)i + 1);
    free(buffer);
  }
  return argument;
}

/* 1, and that of the inner library where there is one. */
int plugin_depth(void) {
#ifdef INNER
  void *inner = dlopen(INNER, RTLD_NOW | RTLD_LOCAL);
  if (inner == NULL) {
    return -1;
  }
  int (*depth)(void) = NULL;
  *(void **)&depth = dlsym(inner, "plugin_depth");
  const int result = depth() + 1;
  CHECK(dlclose(inner) == 0);
  return result;
#else
  return 1;
#endif
}

/* Touches what the thread has of this library, for the first time. */
int plugin_touch(int value) {
  memset(in_thread, value, sizeof in_thread);
  return in_thread[sizeof in_thread - 1];
}

/* From now on a thread has to be joined when the library goes. */
void plugin_start(void) {
  CHECK(pthread_create(&helper, NULL, take_and_give, NULL) == 0);
  has_helper = 1;
}

__attribute__((constructor)) static void begin(void) { take_and_give(NULL); }

__attribute__((destructor)) static void end(void) {
  if (has_helper) {
    CHECK(pthread_join(helper, NULL) == 0);
  }
  take_and_give(NULL);
}
