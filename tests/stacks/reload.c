// Libraries that take turns at one address: `reload TIMES LIBRARY LIBRARY`. Prints how often one came where the other had
// been. With LINKED the host tells of its buffers itself, and nothing of it is hooked.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef LINKED
#include "whofreed.h"

static void event(void)
{
    wf_allocate(9, 4096, 8, 0, 0);
    wf_deallocate(9, 4096, 0);
}
#else
void pool_take(uint64_t address);
void pool_give(uint64_t address);

static void event(void)
{
    pool_take(4096);
    pool_give(4096);
}
#endif

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    int times = atoi(arguments[1]);
    void *before = NULL;
    int same = 0;
    for (int turn = 0; turn < times; turn++) {
        void *library = dlopen(arguments[2 + turn % 2], RTLD_NOW);
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        void *found = dlsym(library, "through");
        void (*through)(void (*)(void));
        *(void **)&through = found;
        same += found == before;
        before = found;
        through(event);
        through(event);
        dlclose(library);
    }
    printf("{\"events\": %d, \"same\": %d}\n", 4 * times, same);
    return 0;
}
