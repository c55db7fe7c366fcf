// A plugin that has its own runtime inside, by the same names as every other one (-DNUMBER tells them apart). With -DUSER
// the runtime is in a library of its own that the plugin needs.
#include "check.h"

void *plug_take(unsigned long size);
void plug_give(void *block);
int plug_run(int times);

#ifndef USER

void *plug_take(unsigned long size) {
    int *block = malloc(size + sizeof(int));
    *block = NUMBER;
    return block;
}

void plug_give(void *block) {
    CHECK(*(int *)block == NUMBER);
    *(int *)block = 0;
    free(block);
}

#endif
#ifndef RUNTIME

static int *early;

int plug_run(int times) {
    for (int n = 0; n < times; n++) {
        int *block = plug_take(8);
        if (*block != NUMBER || *early != NUMBER) return -1;
        plug_give(block);
    }
    return NUMBER;
}

__attribute__((constructor)) static void begin(void) {
    int *block = plug_take(8);
    early = block;
}

__attribute__((destructor)) static void end(void) {
    plug_give(early);
    early = 0;
}

#endif
