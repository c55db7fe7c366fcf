// The heap where it is easily got wrong: before and after main, at the end of threads, in handlers, in every form of new
// and delete. An independent counter of malloc and free says what a report has to say.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <new>
#include <pthread.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::printf("host: line %d: " #condition "\n", __LINE__); \
            std::exit(9); \
        } \
    } while (0)

namespace {

volatile std::size_t huge = std::size_t{1} << 62;

// Kept from being optimized away.
template <typename T> T *seen(T *block) {
    asm volatile("" : "+r"(block) : : "memory");
    return block;
}

struct Early {
    char *block = seen(new char[100]);
    ~Early() {
        delete[] block;
        std::free(seen(std::malloc(10)));
    }
} early;

struct alignas(128) Wide {
    char bytes[256];
};

void every_new_and_delete() {
    delete seen(new int(1));
    delete[] seen(new int[3]);
    delete seen(new Wide);
    delete[] seen(new Wide[3]);
    const std::align_val_t wide{128};
    ::operator delete(seen(::operator new(10)), std::size_t{10});
    ::operator delete(seen(::operator new(10, std::nothrow)), std::nothrow);
    ::operator delete[](seen(::operator new[](10, std::nothrow)), std::nothrow);
    ::operator delete(seen(::operator new(10, wide, std::nothrow)), wide, std::nothrow);
    ::operator delete[](seen(::operator new[](10, wide, std::nothrow)), wide, std::nothrow);
    ::operator delete(seen(::operator new(10, wide)), std::size_t{10}, wide);
    ::operator delete[](seen(::operator new[](10, wide)), std::size_t{10}, wide);
    CHECK(::operator new(huge, std::nothrow) == nullptr);
    delete seen(static_cast<int *>(nullptr));
}

void *reserve = nullptr;
void give_reserve_up() {
    std::free(reserve);
    std::set_new_handler(nullptr);
}

__attribute__((noinline)) void use_heap(int depth) {
    if (depth > 0) use_heap(depth - 1);
    std::free(seen(std::malloc(24)));
    delete seen(new long(depth));
}

// operator new is left by an exception, and calls the host in between.
void failing_new() {
    int caught = 0;
    for (int n = 0; n < 20; n++) {
        reserve = std::malloc(100);
        std::set_new_handler(give_reserve_up);
        try {
            seen(::operator new(huge));
        } catch (const std::bad_alloc &) {
            caught++;
        }
        use_heap(n);
    }
    CHECK(caught == 20);
}

void every_c_function() {
    std::free(seen(std::calloc(3, 5)));
    CHECK(std::calloc(huge, huge) == nullptr);
    void *block = seen(std::realloc(nullptr, 10));
    for (std::size_t size = 20; size < 2000000; size *= 3) block = seen(std::realloc(block, size));
    CHECK(std::realloc(block, huge) == nullptr);
    std::free(block);
    block = seen(std::malloc(10));
    CHECK(std::realloc(block, 0) == nullptr);
    block = seen(reallocarray(nullptr, 3, 5));
    block = seen(reallocarray(block, 300, 500));
    CHECK(reallocarray(block, std::size_t{1} << 32, std::size_t{1} << 32) == nullptr);
    std::free(block);
    CHECK(posix_memalign(&block, 64, 100) == 0);
    std::free(block);
    CHECK(posix_memalign(&block, 3, 100) != 0);
    std::free(seen(aligned_alloc(64, 128)));
    std::free(seen(memalign(64, 100)));
    std::free(nullptr);
    std::free(seen(strdup("text")));
    char *line = nullptr;
    CHECK(asprintf(&line, "%d", 7) == 1);
    std::free(line);
}

void in_handler(int) { std::free(seen(std::malloc(10))); }

pthread_key_t key;
void at_key(void *value) {
    delete static_cast<long *>(value);
    delete[] seen(new char[50]);
}
struct AtEnd {
    long *value = nullptr;
    ~AtEnd() {
        delete value;
        use_heap(2);
    }
};
thread_local AtEnd at_end;

void *run_thread(void *) {
    at_end.value = new long(3);
    CHECK(pthread_setspecific(key, new long(7)) == 0);
    return nullptr;
}

long pages() {
    long pages = 0;
    FILE *file = std::fopen("/proc/self/statm", "r");
    CHECK(file != nullptr && std::fscanf(file, "%ld", &pages) == 1);
    std::fclose(file);
    return pages;
}

// Threads that end, one after the other, and use the heap to the very last; what they leave behind is told.
long threads(int count) {
    long before = pages();
    for (int n = 0; n < count; n++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, nullptr, run_thread, nullptr) == 0);
        CHECK(pthread_join(thread, nullptr) == 0);
    }
    return pages() - before;
}

void at_exit() { delete seen(new int(5)); }

} // namespace

int main() {
    std::atexit(at_exit);
    every_new_and_delete();
    every_c_function();
    failing_new();
    std::signal(SIGUSR1, in_handler);
    for (int n = 0; n < 10; n++) std::raise(SIGUSR1);
    void *library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library != nullptr && dlclose(library) == 0);
    CHECK(pthread_key_create(&key, at_key) == 0);
    threads(20);
    long grown = threads(400);
    std::fprintf(stderr, "grown by %ld pages\n", grown);
    std::puts("done");
}
