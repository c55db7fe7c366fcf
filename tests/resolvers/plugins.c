// Opens plugins privately, each with a runtime of the same names inside, and unloads them again.
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

typedef int (*Run)(int);

static long allocations;

static void *opened(const char *path) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin == 0) puts(dlerror());
    CHECK(plugin != 0);
    return plugin;
}

static void run(void *plugin, int number, int times) {
    Run run = (Run)dlsym(plugin, "plug_run");
    CHECK(run != 0);
    CHECK(run(times) == number);
}

// All at once, by turns; then one is closed, and the others go on.
static void together(int count, char **paths) {
    void *plugins[8];
    for (int n = 0; n < count; n++) plugins[n] = opened(paths[n]);
    for (int turn = 0; turn < 3; turn++)
        for (int n = 0; n < count; n++) run(plugins[n], n + 1, 2);
    CHECK(dlclose(plugins[0]) == 0);
    for (int n = 1; n < count; n++) run(plugins[n], n + 1, 2);
    for (int n = 1; n < count; n++) CHECK(dlclose(plugins[n]) == 0);
    allocations = count + count * 6 + (count - 1) * 2;
}

// Takes the addresses where nothing is any more, so that what is loaded next has to go elsewhere.
static void reload(char **paths) {
    for (int n = 0; n < 6; n++) {
        void *plugin = opened(paths[0]);
        char *code = dlsym(plugin, "plug_run");
        void *(*take)(unsigned long) = (void *(*)(unsigned long))dlsym(plugin, "plug_take");
        void (*give)(void *) = (void (*)(void *))dlsym(plugin, "plug_give");
        give(take(8));
        run(plugin, 1, 3);
        CHECK(dlclose(plugin) == 0);
        void *page = (void *)((uintptr_t)code & ~(uintptr_t)4095);
        CHECK(mmap(page, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == page);
    }
    allocations = 6 * 5;
}

struct Thread {
    pthread_t thread;
    const char *path;
    int number;
};

enum { ROUNDS = 400 };

static void *storm(void *of) {
    struct Thread *thread = of;
    for (int n = 0; n < ROUNDS; n++) {
        void *plugin = opened(thread->path);
        run(plugin, thread->number, 2);
        CHECK(dlclose(plugin) == 0);
    }
    return 0;
}

static void storms(int count, char **paths) {
    struct Thread threads[8];
    for (int n = 0; n < count; n++) {
        threads[n].path = paths[n];
        threads[n].number = n + 1;
        CHECK(pthread_create(&threads[n].thread, 0, storm, &threads[n]) == 0);
    }
    for (int n = 0; n < count; n++) CHECK(pthread_join(threads[n].thread, 0) == 0);
    allocations = count * ROUNDS * 3;
}

int main(int count, char **words) {
    CHECK(count > 2);
    if (strcmp(words[1], "together") == 0) together(count - 2, words + 2);
    if (strcmp(words[1], "reload") == 0) reload(words + 2);
    if (strcmp(words[1], "storm") == 0) storms(count - 2, words + 2);
    printf("{\"allocations\": %ld, \"ok\": %ld, \"excess\": 0, \"unknown\": 0, \"leaked\": 0}\n", allocations, allocations);
    return 0;
}
