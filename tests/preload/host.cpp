// One case per argument: calls the toy runtime in every way and says what a report has to say. It checks for itself that
// what goes in and comes out is whole; with and without hooks it has to print the same.
#include "toy.hpp"

#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <new>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::printf("host: line %d: " #condition "\n", __LINE__); \
            std::exit(9); \
        } \
    } while (0)

#ifdef WITHOUT_RUNTIME

// The runtime and the plugin are opened by dlopen alone, with RTLD_LOCAL; the plugin calls in its constructor.
void run_plugin(const char *path) {
    void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) std::puts(dlerror());
    CHECK(opened != nullptr);
    CHECK(dlsym(RTLD_DEFAULT, "plugin_run") == nullptr);
    auto run = reinterpret_cast<int (*)()>(dlsym(opened, "plugin_run"));
    CHECK(run != nullptr && run() == 1);
    CHECK(dlclose(opened) == 0);
}

// Takes the addresses where nothing is any more, so that what is loaded next has to go elsewhere.
bool takes(const void *address) {
    auto page = reinterpret_cast<std::uintptr_t>(address) & ~std::uintptr_t{4095};
    void *wanted = reinterpret_cast<void *>(page);
    return mmap(wanted, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wanted;
}

int main(int, char **words) {
    void *opened = dlopen(words[2], RTLD_NOW | RTLD_LOCAL);
    CHECK(opened != nullptr);
    // Not a hooked one: of those, dlsym gives our stubs.
    const void *code = dlsym(opened, "_ZN3toy5id_ofEPKNS_5StateE");
    CHECK(code != nullptr && dlclose(opened) == 0 && takes(code));
    for (int n = 0; n < 3; n++) run_plugin(words[2]);
    std::puts("{\"allocations\": 7, \"ok\": 6, \"excess\": 3}");
}

#else

namespace {

int unwound = 0;
struct Counted {
    ~Counted() { unwound++; }
};

void arguments() {
    void *a = toy_take_twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    CHECK(toy_give_twelve(a, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) == 572);
    void *b = toy_take_listed(3, 1.0, 1, 0.5, 1, 1.0, 0);
    toy::Block block = toy::take_block(99);
    CHECK(block.size == 99 && block.mark == 77);
    toy::Pair pair = toy::take_pair(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    CHECK(pair.first == 21 && pair.second == 34);
    toy::Mixed mixed = toy::take_mixed(b, 1.25);
    CHECK(mixed.first == 42 && mixed.second == 2.5);
    CHECK(toy::take_long(1.5L) == 3.0L);
    double sum = 0;
    toy::give_floating(b, 1.5, 2.25, 3.0F, &sum);
    CHECK(sum == 6.75);
    CHECK(toy_take(0) == nullptr);
    toy_give(block.address);
    std::puts("{\"allocations\": 3, \"ok\": 3, \"excess\": 0}");
}

void keeps_errno() {
    errno = 5;
    void *a = toy_take(8);
    CHECK(errno == 71);
    toy_give(a);
    CHECK(errno == 72);
    toy_give(a);
    CHECK(errno == 72);
    std::puts("{\"allocations\": 1, \"ok\": 1, \"excess\": 1}");
}

void exceptions() {
    int caught = 0;
    for (int n = 0; n < 100; n++) {
        try {
            Counted counted;
            toy_take_throwing(1000);
        } catch (const std::runtime_error &error) {
            caught += std::string("too large") == error.what();
        }
    }
    void *a = toy_take_throwing(1);
    try {
        Counted counted;
        toy_give_throwing(a);
    } catch (void *thrown) {
        caught += thrown == a;
    }
    CHECK(caught == 101 && unwound == 101 && std::uncaught_exceptions() == 0);
    // A failed real call changes nothing; the give was one, whatever it threw.
    std::puts("{\"allocations\": 1, \"ok\": 1, \"excess\": 0}");
}

// How often a block is really given back, of the two times that it is tried.
void twice() {
    void *a = toy_take(1);
    int thrown = 0;
    for (int n = 0; n < 2; n++) {
        try {
            toy_give_throwing(a);
        } catch (void *) {
            thrown++;
        }
    }
    std::printf("{\"thrown\": %d}\n", thrown);
}

jmp_buf back;
void jump(void *) { longjmp(back, 1); }
void leave_thread(void *) { pthread_exit(&unwound); }
void *run_thread(void *) {
    Counted counted;
    toy_take_leaving(leave_thread, nullptr);
    return nullptr;
}

void leaving() {
    for (volatile int n = 0; n < 100; n++)
        if (setjmp(back) == 0) toy_take_leaving(jump, nullptr);
    pthread_t thread;
    void *result = nullptr;
    CHECK(pthread_create(&thread, nullptr, run_thread, nullptr) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == &unwound && unwound == 1);
    void *a = toy_take(1);
    toy_give(a);
    std::puts("{\"allocations\": 1, \"ok\": 1, \"excess\": 0}");
}

// The child frees what it inherited, and its own buffer twice: its trace has to stand for itself.
void forks() {
    toy::Handle inherited(10);
    void *a = toy_take(1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        toy_give(a);
        void *b = toy_take(1);
        toy_give(b);
        toy_give(b); // excess
        inherited.release(true);
        inherited.release(true); // excess
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    toy_give(a);
    inherited.release(true);
    std::puts("{\"allocations\": 3, \"ok\": 5, \"excess\": 2, \"leaked\": 0, \"unknown\": 0, \"invalid\": 0}");
}

// Handles of many threads at once, each freed twice.
void *run_handles(void *) {
    for (int n = 0; n < 500; n++) {
        toy::Handle handle(10);
        handle.release(false);
        handle.release(false); // excess
    }
    return nullptr;
}

void threads() {
    pthread_t all[8];
    for (pthread_t &thread : all) CHECK(pthread_create(&thread, nullptr, run_handles, nullptr) == 0);
    for (pthread_t thread : all) CHECK(pthread_join(thread, nullptr) == 0);
    std::puts("{\"allocations\": 4000, \"ok\": 4000, \"excess\": 4000, \"declined\": 0, \"invalid\": 0}");
}

void weak() {
    // The probe is answered by our stub where there are hooks, by nobody where there are none.
    int answer = toy_optional == nullptr ? -3 : toy_optional(&unwound);
    CHECK(answer == -3);
    toy_give(toy_take(1));
    std::puts("{\"allocations\": 1, \"ok\": 1, \"excess\": 0}");
}

void frames() {
    toy_give(toy_take(1));
    std::printf("{\"allocations\": 1, \"ok\": 1, \"excess\": 0, \"frames\": %d}\n", toy_frames(0));
}

// Attempts: plain and twice; by an alias; declined while shared; on a handle that only a reset ended.
void attempts() {
    toy::Handle once(10);
    once.release(true);
    toy::Handle twice(10);
    twice.release(false);
    twice.release(false);
    twice.release(true); // excess: 2
    toy::Handle shared(10), alias(shared.state);
    shared.release(false); // declined
    alias.release(false);  // declined
    alias.release(true);
    shared.release(true); // excess: 3
    toy::Handle late(10), leaked(10);
    toy::reset_all();
    late.release(true); // late
    late.release(true); // excess: 4
    CHECK(leaked.is_live());
    std::puts("{\"allocations\": 5, \"ok\": 4, \"excess\": 4, \"late\": 1, \"declined\": 2, \"leaked\": 1}");
}

ucontext_t outside, coroutine;

void call_at_the_edge() {
    CHECK(toy_take(0) == nullptr);
    void *block = toy_take_listed(1, 0.5, 1);
    CHECK(toy::take_mixed(block, 1.25).first == 42);
    toy_give(block);
}

// Hooks that call through, from the last frame of a stack above which nothing can be read, and may copy no more than it
// holds.
void edge() {
    constexpr std::size_t size = 1 << 16, page = 4096;
    void *memory = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && mprotect(static_cast<char *>(memory) + size, page, PROT_NONE) == 0);
    CHECK(getcontext(&coroutine) == 0);
    coroutine.uc_stack.ss_sp = memory;
    coroutine.uc_stack.ss_size = size;
    coroutine.uc_link = &outside;
    makecontext(&coroutine, call_at_the_edge, 0);
    CHECK(swapcontext(&outside, &coroutine) == 0);
    std::puts("{\"allocations\": 1, \"ok\": 1, \"excess\": 0}");
}

// Counted beside the runtime, for whom its calls are too few to tell.
std::atomic<unsigned long> *calls;

void take_and_give(int) {
    const int before = errno;
    *calls += 2;
    toy_give(toy_take(1));
    errno = before;
}

// Each process's first event, while a timer interrupts its thread again and again.
void first_events() {
    void *shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    calls = new (shared) std::atomic<unsigned long>(0);
    for (int child = 0; child < 8; child++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            CHECK(std::signal(SIGALRM, take_and_give) != SIG_ERR);
            const itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
            CHECK(setitimer(ITIMER_REAL, &often, nullptr) == 0);
            take_and_give(0);
            CHECK(setitimer(ITIMER_REAL, &never, nullptr) == 0);
            _exit(0);
        }
        int status = 1;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    std::printf("{\"calls\": %lu}\n", calls->load());
}

sigjmp_buf before_events;
volatile int jumps;

void jump(int) {
    jumps = jumps + 1;
    siglongjmp(before_events, 1);
}

// A handler that does not come back to the event that it interrupts, again and again.
void jumps_out() {
    CHECK(std::signal(SIGALRM, jump) != SIG_ERR);
    volatile unsigned long begun = 0;
    void *block = toy_take(1);
    for (volatile int round = 0; round < 40; round = round + 1) {
        if (sigsetjmp(before_events, 1) != 0) continue;
        const itimerval once = {{0, 0}, {0, 300 + 7 * round}};
        CHECK(setitimer(ITIMER_REAL, &once, nullptr) == 0);
        for (;;) {
            begun = begun + 1;
            // Few take: the runtime has not so many blocks.
            if (begun % 16 != 0 || begun > 100000)
                toy_give(block);
            else
                toy_take(1);
        }
    }
    for (int n = 0; n < 1000; n++) toy_give(block);
    std::printf("{\"calls\": %lu, \"jumps\": %d}\n", begun + 1001, jumps);
}

// Threads that such a handler keeps from all they would have called still.
void jumps_out_for_good() {
    CHECK(std::signal(SIGALRM, jump) != SIG_ERR);
    static volatile unsigned long begun;
    static void *block;
    block = toy_take(1);
    sigset_t alarm;
    CHECK(sigemptyset(&alarm) == 0 && sigaddset(&alarm, SIGALRM) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarm, nullptr) == 0);
    for (int round = 0; round < 40; round++) {
        std::thread([alarm, round] {
            CHECK(pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr) == 0);
            if (sigsetjmp(before_events, 1) != 0) return;
            const itimerval once = {{0, 0}, {0, 300 + 7 * round}};
            CHECK(setitimer(ITIMER_REAL, &once, nullptr) == 0);
            for (;;) {
                begun = begun + 1;
                toy_give(block);
            }
        }).join();
    }
    std::printf("{\"calls\": %lu, \"jumps\": %d}\n", begun + 1, jumps);
}

} // namespace

int main(int count, char **words) {
    CHECK(count > 1);
    const std::string name = words[1];
    if (name == "arguments") arguments();
    if (name == "errno") keeps_errno();
    if (name == "exceptions") exceptions();
    if (name == "twice") twice();
    if (name == "leaving") leaving();
    if (name == "forks") forks();
    if (name == "threads") threads();
    if (name == "weak") weak();
    if (name == "frames") frames();
    if (name == "attempts") attempts();
    if (name == "edge") edge();
    if (name == "first_events") first_events();
    if (name == "jumps_out") jumps_out();
    if (name == "jumps_out_for_good") jumps_out_for_good();
    return 0;
}

#endif
