/* Preloaded alone, without whofreed: counts what the TT-Metal runtime does, by its own functions' names, and writes one line
 * `NAME COUNT` for each into the file that COUNTS names. Whatever is counted is handed on with its arguments as they are. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned long word;
typedef word function(word, word, word, word, word, word);

static unsigned long allocated, freed, attempts, swallowed, programs, programs_gone;

/* Whether the attempt that this thread is in has freed. */
static __thread int has_freed;

/* Both libraries are opened privately, so RTLD_NEXT finds neither. */
static function *real(const char *symbol)
{
    static const char *const libraries[] = {"libtt_metal.so", "_ttnncpp.so"};
    for (int i = 0; i < 2; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        void *address = library ? dlsym(library, symbol) : NULL;
        if (address)
            return (function *)address;
    }
    abort();
}

static void count(unsigned long *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

#define COUNTED(name, symbol, what)                                     \
    word name(word, word, word, word, word, word) __asm__(symbol);      \
    word name(word a, word b, word c, word d, word e, word f)           \
    {                                                                   \
        static function *next;                                          \
        if (!next)                                                      \
            next = real(symbol);                                        \
        what;                                                           \
        return next(a, b, c, d, e, f);                                  \
    }

/* An attempt is swallowed when nothing was freed before it returned. */
#define ATTEMPT(name, symbol)                                           \
    word name(word, word, word, word, word, word) __asm__(symbol);      \
    word name(word a, word b, word c, word d, word e, word f)           \
    {                                                                   \
        static function *next;                                          \
        if (!next)                                                      \
            next = real(symbol);                                        \
        count(&attempts);                                               \
        has_freed = 0;                                                  \
        word result = next(a, b, c, d, e, f);                           \
        if (!has_freed)                                                 \
            count(&swallowed);                                          \
        return result;                                                  \
    }

ATTEMPT(deallocate, "_ZN4ttnn6Tensor10deallocateEb")
ATTEMPT(deallocate_until_0_78, "_ZN2tt8tt_metal6Tensor10deallocateEb")
COUNTED(track_allocate, "_ZN2tt8tt_metal12GraphTracker14track_allocateEPKNS0_6BufferE", count(&allocated))
COUNTED(track_deallocate, "_ZN2tt8tt_metal12GraphTracker16track_deallocateEPNS0_6BufferE",
        (count(&freed), has_freed = 1))
COUNTED(register_program, "_ZN2tt8tt_metal6Device16register_programEPNS0_6detail11ProgramImplE", count(&programs))
COUNTED(unregister_program, "_ZN2tt8tt_metal6Device18unregister_programEPNS0_6detail11ProgramImplE",
        count(&programs_gone))

__attribute__((destructor)) static void write_counts(void)
{
    const char *path = getenv("COUNTS");
    /* The compilers that the runtime starts have it preloaded too. */
    if (!path || !allocated)
        return;
    FILE *file = fopen(path, "w");
    if (!file)
        return;
    fprintf(file, "allocated %lu\nfreed %lu\nattempts %lu\nswallowed %lu\nprograms %lu\nprograms_gone %lu\n",
            allocated, freed, attempts, swallowed, programs, programs_gone);
    fclose(file);
}
