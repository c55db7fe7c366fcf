// Several lives of one interpreter in a process, a script in each: lives LIBPYTHON SCRIPT…
// What the probe captures, `take()` returns there. (ctypes does not survive a second life of 3.12.)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// `PyMethodDef` of the stable interface.
struct method {
    const char *name;
    void *(*call)(void *, void *);
    int flags;
    const char *doc;
};
#define METH_NOARGS 4

static void *library;
static size_t (*probe_capture)(char *, size_t);
static void *(*new_string)(const char *, long);

static void find(void *function, void *from, const char *name) {
    void *symbol = dlsym(from, name);
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    memcpy(function, &symbol, sizeof symbol);
}

static void *take(void *module, void *none) {
    static char text[4096];
    (void)module, (void)none;
    return new_string(text, (long)probe_capture(text, sizeof text));
}

int main(int count, char **arguments) {
    library = count > 1 ? dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
    void *probe = dlopen(getenv("WHOFREED_PROBE"), RTLD_NOW);
    if (library == NULL || probe == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    void (*initialize)(int);
    int (*run)(const char *, void *);
    int (*finalize)(void);
    void *(*import)(const char *);
    void *(*new_function)(struct method *, void *, void *);
    int (*set)(void *, const char *, void *);
    find(&probe_capture, probe, "probe_capture");
    find(&new_string, library, "PyUnicode_FromStringAndSize");
    find(&initialize, library, "Py_InitializeEx");
    find(&run, library, "PyRun_SimpleStringFlags");
    find(&finalize, library, "Py_FinalizeEx");
    find(&import, library, "PyImport_AddModule");
    find(&new_function, library, "PyCFunction_NewEx");
    find(&set, library, "PyObject_SetAttrString");
    static struct method method = {"take", take, METH_NOARGS, NULL};
    for (int life = 2; life < count; life++) {
        initialize(0);
        if (set(import("__main__"), "take", new_function(&method, NULL, NULL)) != 0) return 3;
        if (run(arguments[life], NULL) != 0) return 4;
        if (finalize() != 0) return 5;
    }
    return 0;
}
