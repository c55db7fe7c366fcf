/*
 * Prints the mappings of its files at three stages: at the start, after allocations and frees, and after calls through
 * pointers of dlsym and a library that was opened. A line: stage, rights, size, path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#include "check.h"

static void show(int stage) {
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  char line[4096];
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    char rights[8], path[2048] = "";
    CHECK(sscanf(line, "%lx-%lx %7s %*s %*s %*s %2047[^\n]", &start, &end, rights, path) >= 3);
    printf("%d %s %lx %s\n", stage, rights, end - start, path[0] != 0 ? path : "-");
  }
  fclose(maps);
}

int main(void) {
  show(0);
  for (int turn = 0; turn < 100; ++turn) {
    void *volatile memory = malloc((size_t)turn + 1);
    free(memory);
  }
  show(1);
  void *(*take)(size_t);
  void (*give)(void *);
  *(void **)&take = dlsym(RTLD_DEFAULT, "malloc");
  *(void **)&give = dlsym(RTLD_DEFAULT, "free");
  give(take(7));
  void *library = dlopen("libm.so.6", RTLD_NOW);
  CHECK(library != NULL);
  give(take(9));
  show(2);
  return 0;
}
