// A runtime that writes the pointer, as cuGetProcAddress does: the name asked for is not that of the function found.
#include "check.h"

typedef int (*Take)(void **block, unsigned long size);
typedef int (*Give)(void *block);

int out_get(const char *name, void **function, int version);
int out_take_v2(void **block, unsigned long size);
int out_give_v2(void *block);
// What a program finds by a weak reference it believes to be there.
extern int out_absent(void *block) __attribute__((weak));

#ifdef LIBRARY

int out_take_v2(void **block, unsigned long size) { return (*block = calloc(1, size)) == 0; }
int out_give_v2(void *block) { return block == 0; }
static int take_v1(void **block, unsigned long size) { return (*block = calloc(2, size)) == 0; }

int out_get(const char *name, void **function, int version) {
    if (version < 0) return 500; // whatever was there stays there
    *function = 0;
    if (strcmp(name, "out_take") == 0) *function = version < 2 ? (void *)take_v1 : (void *)out_take_v2;
    if (strcmp(name, "out_give") == 0) *function = (void *)out_give_v2;
    return 0;
}

#else

int main(void) {
    void *take = 0, *take_v1 = 0, *give = 0, *untouched = &take, *none = &take;
    CHECK(out_get("out_take", &take, 2) == 0 && out_get("out_give", &give, 2) == 0);
    CHECK(out_get("out_take", &take_v1, 1) == 0 && take_v1 != take && take != 0 && give != 0);
    CHECK(out_get("out_take", &untouched, -1) == 500 && untouched == &take);
    CHECK(out_get("out_absent", &none, 2) == 0 && none == 0 && out_absent == 0);
    void *block = 0, *plain = 0;
    for (int n = 0; n < 4; n++) {
        CHECK(((Take)take)(&block, 8) == 0 && ((Give)give)(block) == 0);
        CHECK(((Take)take_v1)(&block, 8) == 0 && ((Give)give)(block) == 0);
        // Not by way of the resolver: no events, since these names are not in the adapter.
        CHECK(out_take_v2(&plain, 8) == 0 && out_give_v2(plain) == 0);
    }
    CHECK(((Give)give)(block) == 0); // excess
    puts("{\"allocations\": 8, \"ok\": 8, \"excess\": 1, \"unknown\": 0}");
    return 0;
}

#endif
