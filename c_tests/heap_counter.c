// Counts the calls of the heap's functions by standing before them: preloaded into a program that runs alone, it says
// what a recording of the same program has to say. All processes of a run add to three numbers in the file that
// HEAP_COUNTS names, which is there already: buffers taken, given back, and resizes that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

struct counts {
    _Atomic unsigned long taken, given, failed_resizes;
};
static struct counts counts_so_far;
static struct counts *counts = &counts_so_far;

// The real functions; what dlsym itself takes before they are known comes from a small place of our own.
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_reallocarray)(void *, size_t, size_t);
static void *(*real_memalign)(size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void (*real_free)(void *);
static char early[65536];
static size_t early_used;

static void find(void *place, const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(place, &found, sizeof found);
}

static void find_all(void) {
    static int begun;
    if (begun) return;
    begun = 1;
    find(&real_calloc, "calloc");
    find(&real_realloc, "realloc");
    find(&real_reallocarray, "reallocarray");
    find(&real_memalign, "memalign");
    find(&real_posix_memalign, "posix_memalign");
    find(&real_aligned_alloc, "aligned_alloc");
    find(&real_free, "free");
    find(&real_malloc, "malloc");
}

static void *from_early(size_t size) {
    early_used = (early_used + 15) & ~(size_t)15;
    void *block = early + early_used;
    early_used += size;
    if (early_used > sizeof early) _exit(99);
    return block;
}

static void *counted(void *block) {
    if (block != NULL) counts->taken++;
    return block;
}

void *malloc(size_t size) {
    if (real_malloc == NULL) find_all();
    return real_malloc == NULL ? from_early(size) : counted(real_malloc(size));
}

void *calloc(size_t count, size_t size) {
    if (real_malloc == NULL) find_all();
    return real_malloc == NULL ? from_early(count * size) : counted(real_calloc(count, size));
}

void *realloc(void *block, size_t size) {
    find_all();
    void *other = real_realloc(block, size);
    if (other != NULL) counts->taken++;
    if (other == NULL && size != 0) counts->failed_resizes++;
    else if (block != NULL) counts->given++;
    return other;
}

void *reallocarray(void *block, size_t count, size_t size) {
    find_all();
    // What overflows fails before it calls realloc, which is counted there.
    if (size != 0 && count > (size_t)-1 / size) counts->failed_resizes++;
    return real_reallocarray(block, count, size);
}

void *memalign(size_t alignment, size_t size) {
    find_all();
    return counted(real_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    find_all();
    return counted(real_aligned_alloc(alignment, size));
}

int posix_memalign(void **place, size_t alignment, size_t size) {
    find_all();
    int error = real_posix_memalign(place, alignment, size);
    if (error == 0) counted(*place);
    return error;
}

void free(void *block) {
    if (block == NULL) return;
    if ((char *)block >= early && (char *)block < early + sizeof early) return;
    find_all();
    counts->given++;
    real_free(block);
}

__attribute__((constructor)) static void share(void) {
    const char *path = getenv("HEAP_COUNTS");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *place = mmap(NULL, sizeof counts_so_far, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (place == MAP_FAILED) _exit(98);
    struct counts *shared = place;
    shared->taken += counts_so_far.taken;
    shared->given += counts_so_far.given;
    shared->failed_resizes += counts_so_far.failed_resizes;
    counts = shared;
}
