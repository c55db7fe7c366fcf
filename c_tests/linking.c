/*
 * Opens libraries in the ways that tools of our kind broke: linking MODE FOLDER. Says what it found, and takes and gives
 * back buffers all the while.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"

static void *open_in(const char *folder, const char *name) {
  char path[4096];
  CHECK(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return library;
}

static int depth_of(void *library) {
  int (*depth)(void) = NULL;
  *(void **)&depth = dlsym(library, "plugin_depth");
  CHECK(depth != NULL);
  return depth();
}

/* By bare names, which only the RUNPATH of who asks leads to: the program's own, and a library's, two deep. */
static void by_bare_names(const char *folder) {
  void *own = dlopen("libinner.so", RTLD_NOW | RTLD_LOCAL);
  CHECK(own != NULL);
  printf("%d\n", depth_of(own));
  void *outer = open_in(folder, "libouter.so");
  printf("%d\n", depth_of(outer));
  CHECK(dlclose(outer) == 0 && dlclose(own) == 0);
  CHECK(dlopen("libnowhere.so", RTLD_NOW) == NULL && dlerror() != NULL);
}

/* In a namespace of its own, with a C library of its own. */
static void in_a_namespace(const char *folder) {
  char path[4096];
  CHECK(snprintf(path, sizeof path, "%s/libouter.so", folder) < (int)sizeof path);
  void *library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
  CHECK(library != NULL);
  printf("%d\n", depth_of(library));
  CHECK(dlclose(library) == 0);
}

static atomic_int stop;

static void *open_and_close(void *folder) {
  while (!atomic_load(&stop)) {
    CHECK(dlclose(open_in(folder, "libinner.so")) == 0);
  }
  return NULL;
}

static int take_in_callback(struct dl_phdr_info *info, size_t size, void *count) {
  (void)size;
  for (int i = 0; i < 10; ++i) {
    char *volatile copy = strdup(info->dlpi_name);
    free(copy);
  }
  ++*(int *)count;
  return 0;
}

/* Takes and gives back while it holds the loader's lock, which others want. */
static void in_a_callback(char *folder) {
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_create(&threads[i], NULL, open_and_close, folder) == 0);
  }
  int count = 0;
  for (int i = 0; i < 300; ++i) {
    CHECK(dl_iterate_phdr(take_in_callback, &count) == 0);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  printf("%s\n", count >= 300 ? "called" : "not called");
}

/* A library whose destructor waits for a thread of its own, while others ask the loader. */
static void with_a_thread(const char *folder) {
  for (int i = 0; i < 50; ++i) {
    void *library = open_in(folder, "libinner.so");
    void (*start)(void) = NULL;
    *(void **)&start = dlsym(library, "plugin_start");
    start();
    CHECK(dlclose(library) == 0);
  }
  puts("closed");
}

static void *touch(void *function) {
  int (*plugin_touch)(int) = NULL;
  *(void **)&plugin_touch = function;
  return plugin_touch(42) == 42 ? function : NULL;
}

/* The first touch of what a thread has of a library that was opened late takes a block of the heap. */
static void in_threads(const char *folder) {
  void *library = open_in(folder, "libinner.so");
  void *function = dlsym(library, "plugin_touch");
  for (int i = 0; i < 200; ++i) {
    pthread_t thread;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, touch, function) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == function);
  }
  puts("touched");
  CHECK(dlclose(library) == 0);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  /* What came before must have left it alone. */
  printf("%d\n", errno);
  const char *mode = argv[1];
  if (strcmp(mode, "names") == 0) {
    by_bare_names(argv[2]);
  } else if (strcmp(mode, "namespace") == 0) {
    in_a_namespace(argv[2]);
  } else if (strcmp(mode, "callback") == 0) {
    in_a_callback(argv[2]);
  } else if (strcmp(mode, "destructor") == 0) {
    with_a_thread(argv[2]);
  } else if (strcmp(mode, "storage") == 0) {
    in_threads(argv[2]);
  } else {
    CHECK(0);
  }
  return 7;
}
