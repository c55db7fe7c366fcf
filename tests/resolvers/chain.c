// A runtime that hands out its functions as Vulkan does: by name, for nothing, an instance or a device, each time others;
// and the function that hands out those of devices is handed out itself.
#include "check.h"

typedef void (*Function)(void);
typedef Function (*Resolver)(void *of, const char *name);
typedef int (*Take)(void *device, unsigned long size, void **block);
typedef void (*Give)(void *device, void *block);

Function chain_get(void *instance, const char *name);
int chain_take(void *device, unsigned long size, void **block);
void chain_give(void *device, void *block);

#ifdef LIBRARY

static int take(unsigned long size, void **block, int by) {
    *block = size == 0 ? 0 : (char *)calloc(1, size + 16) + by;
    return *block == 0 ? -2 : 0;
}

int chain_take(void *device, unsigned long size, void **block) { return device ? -1 : take(size, block, 0); }
void chain_give(void *device, void *block) { (void)device, (void)block; }

#define LEVEL(name, by) \
    static int take_##name(void *of, unsigned long size, void **block) { return of == 0 ? -1 : take(size, block, by); } \
    static void give_##name(void *of, void *block) { CHECK(of != 0 && block != 0); }
LEVEL(instance, 1)
LEVEL(device, 2)

static Function device_get(void *device, const char *name) {
    CHECK(device != 0);
    if (strcmp(name, "chain_take") == 0) return (Function)take_device;
    if (strcmp(name, "chain_give") == 0) return (Function)give_device;
    return 0;
}

Function chain_get(void *instance, const char *name) {
    if (strcmp(name, "chain_get") == 0) return (Function)chain_get;
    // These two are hooked already where this library takes their addresses.
    if (strcmp(name, "chain_take") == 0) return instance ? (Function)take_instance : (Function)chain_take;
    if (strcmp(name, "chain_give") == 0) return instance ? (Function)give_instance : (Function)chain_give;
    if (strcmp(name, "chain_get_device") == 0) return instance ? (Function)device_get : 0;
    return 0;
}

#else

static int taken, given;

static void *take(Take function, void *of) {
    void *block = 0;
    CHECK(function != 0 && function(of, 0, &block) == -2);
    CHECK(function(of, 64, &block) == 0 && block != 0);
    taken++;
    return block;
}

static void give(Give function, void *of, void *block) {
    CHECK(function != 0);
    function(of, block);
    given++;
}

int main(void) {
    int instance, device;
    CHECK(chain_get(&instance, "no_such_function") == 0 && chain_get(0, "chain_get_device") == 0);
    Take plain = (Take)chain_get(0, "chain_take"), of_instance = (Take)chain_get(&instance, "chain_take");
    CHECK(plain == chain_take && of_instance != plain);
    Resolver again = (Resolver)chain_get(0, "chain_get");
    CHECK((Take)again(&instance, "chain_take") == of_instance);
    Resolver of_devices = (Resolver)again(&instance, "chain_get_device");
    CHECK((Resolver)chain_get(&instance, "chain_get_device") == of_devices);
    Take of_device = (Take)of_devices(&device, "chain_take");
    CHECK(of_device == (Take)of_devices(&device, "chain_take") && of_device != of_instance);
    CHECK(of_devices(&device, "no_such_function") == 0);

    for (int n = 0; n < 5; n++) {
        give(chain_give, 0, take(chain_take, 0));
        give((Give)again(0, "chain_give"), 0, take(plain, 0));
        give((Give)again(&instance, "chain_give"), &instance, take(of_instance, &instance));
        give((Give)of_devices(&device, "chain_give"), &device, take(of_device, &device));
    }
    void *block = take(of_device, &device);
    give((Give)of_devices(&device, "chain_give"), &device, block);
    Give twice = (Give)again(&instance, "chain_give");
    twice(&instance, block);
    printf("{\"allocations\": %d, \"ok\": %d, \"excess\": 1, \"unknown\": 0, \"leaked\": 0}\n", taken, given);
    return 0;
}

#endif
