// Looking symbols up in every way that there is, in a library with versions behind one that stands before it (-DWRAPPER).
#include "check.h"

void *pool_take(unsigned long size);
void pool_give(void *block);
// In both libraries, and in no adapter.
int pool_plain(void);
void *wrap_next(const char *name);
void *wrap_default(const char *name);

typedef void *(*Take)(unsigned long);
typedef void *(*Lookup)(void *, const char *);

#if defined LIBRARY

void *pool_take_new(unsigned long size) { return calloc(1, size); }
void *pool_take_old(unsigned long size) { return (char *)calloc(1, size + 1) + 1; }
__asm__(".symver pool_take_new, pool_take@@V2");
__asm__(".symver pool_take_old, pool_take@V1");
void pool_give(void *block) { (void)block; }
int pool_plain(void) { return 2; }

#elif defined WRAPPER

void *pool_take(unsigned long size) {
    Take next = (Take)dlsym(RTLD_NEXT, "pool_take");
    CHECK(next != 0);
    void *block = next(size);
    return block;
}
int pool_plain(void) { return 1; }
void *wrap_next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    return found;
}
void *wrap_default(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    return found;
}

#else

static int used;

static int use(void *take) {
    CHECK(take != 0);
    char *block = ((Take)take)(64);
    CHECK(block != 0);
    pool_give(block);
    used++;
    return (uintptr_t)block % 2;
}

int main(int count, char **words) {
    CHECK(count == 2);
    void *pool = dlopen(words[1], RTLD_NOW), *all = dlopen(0, RTLD_NOW), *c = dlopen("libc.so.6", RTLD_NOW);
    CHECK(pool != 0 && all != 0 && c != 0);
    CHECK(use((void *)pool_take) == 0);

    void *by_default = dlsym(RTLD_DEFAULT, "pool_take");
    CHECK(by_default == (void *)pool_take && by_default == wrap_default("pool_take") && use(by_default) == 0);
    CHECK(dlsym(all, "pool_take") == by_default && use(dlsym(all, "pool_take")) == 0);
    CHECK(dlsym(RTLD_NEXT, "pool_take") == by_default);

    void *by_handle = dlsym(pool, "pool_take");
    CHECK(by_handle != by_default && by_handle == dlsym(pool, "pool_take") && use(by_handle) == 0);
    void *old = dlvsym(pool, "pool_take", "V1"), *new = dlvsym(pool, "pool_take", "V2");
    CHECK(old != new && new == by_handle && use(old) == 1 && use(new) == 0);
    CHECK(dlvsym(RTLD_DEFAULT, "pool_plain", "V2") != 0);

    // Whoever looks at its caller has to see it: the next one behind the wrapper, not behind anybody else.
    void *next = wrap_next("pool_take");
    CHECK(next != 0 && next != by_default);
    int (*plain)(void) = (int (*)(void))wrap_next("pool_plain");
    CHECK(plain != 0 && plain() == 2 && pool_plain() == 1);
    plain = (int (*)(void))dlsym(pool, "pool_plain");
    CHECK(plain != 0 && plain() == 2);

    // What looks up is looked up.
    Lookup lookup = (Lookup)dlsym(c, "dlsym");
    CHECK(lookup == dlsym && lookup(pool, "pool_take") == by_handle && use(lookup(pool, "pool_take")) == 0);
    CHECK((Lookup)wrap_default("dlsym") == dlsym);

    // Errors are the linker's own.
    char errors[2][512];
    CHECK(dlerror() == 0 && dlsym(pool, "pool_absent") == 0);
    snprintf(errors[0], sizeof errors[0], "%s", dlerror());
    CHECK(dlerror() == 0 && dlvsym(pool, "pool_take", "V9") == 0);
    snprintf(errors[1], sizeof errors[1], "%s", dlerror());
    CHECK(dlsym(RTLD_DEFAULT, "pool_absent") == 0 && dlerror() != 0 && dlerror() == 0);
    CHECK(dlclose(c) == 0 && dlclose(pool) == 0);
    // The library is still there: it is needed.
    CHECK(use(by_handle) == 0 && use((void *)pool_take) == 0);
    printf("{\"allocations\": %d, \"ok\": %d, \"excess\": 0, \"unknown\": 0, \"errors\": [\"%s\", \"%s\"]}\n", used, used,
           errors[0], errors[1]);
    return 0;
}

#endif
