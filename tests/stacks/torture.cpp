// Events from every kind of stack that an unwinder stumbles over: `torture SEED ROUNDS THREADS [async]`.
//
// Each event is an allocate followed by a deallocate of an address of the thread's own, by hooked functions (the unwind begins
// where they were called) and by the C ABI (it begins inside the library). What the stacks are is compared by the
// library itself (check_stacks=1). With `async` signals interrupt all of it.

#include <alloca.h>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <pthread.h>
#include <stdexcept>
#include <sys/time.h>
#include <thread>
#include <ucontext.h>
#include <vector>

#include "whofreed.h"

#define APART __attribute__((noinline, noclone))

extern "C" void pool_take(std::uint64_t address);
extern "C" void pool_give(std::uint64_t address);

namespace {

struct Walker;
using Step = void (*)(Walker &, int);

// A thread's way through all of it.
struct Walker
{
    std::uint64_t random;
    std::uint64_t address;
    std::uint64_t events = 0;
    sigjmp_buf handler_jump;
    jmp_buf jump;

    std::uint64_t next(std::uint64_t bound)
    {
        random += 0x9e3779b97f4a7c15u;
        std::uint64_t mixed = random;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
        return (mixed ^ (mixed >> 31)) % bound;
    }
};

thread_local Walker *current;
std::uint32_t device_of_c_abi = 9;

APART void event(Walker &walker)
{
    walker.events += 2;
    if (walker.next(4) == 0) {
        wf_allocate(device_of_c_abi, walker.address, 8, 0, 0);
        wf_deallocate(device_of_c_abi, walker.address, 0);
    } else {
        pool_take(walker.address);
        pool_give(walker.address);
    }
}

void walk(Walker &walker, int depth);

// Many functions with frames of their own, so that stacks differ.
template <int number> APART void plain(Walker &walker, int depth)
{
    volatile char frame[8 * number + 8];
    frame[0] = static_cast<char>(depth);
    walk(walker, depth);
    frame[1] = frame[0];
}

template <int number> APART void tail(Walker &walker, int depth)
{
    if (depth > 2 && walker.next(2) == 0)
        return plain<number>(walker, depth - 1);
    return walk(walker, depth);
}

APART void recurse(Walker &walker, int depth, int times)
{
    if (times > 0)
        recurse(walker, depth, times - 1);
    else
        walk(walker, depth);
    __asm__ volatile("");
}

APART void variable(Walker &walker, int depth)
{
    std::size_t size = 16 + walker.next(3000);
    char *memory = static_cast<char *>(alloca(size));
    std::memset(memory, 1, size);
    walk(walker, depth);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

__attribute__((optimize("no-omit-frame-pointer"))) APART void framed(Walker &walker, int depth)
{
    volatile int here = depth;
    walk(walker, here);
    here = here + 1;
}

APART void aligned(Walker &walker, int depth)
{
    alignas(64) volatile char memory[128];
    memory[0] = 1;
    walk(walker, depth);
    char *more = static_cast<char *>(alloca(32 + walker.next(64)));
    __asm__ volatile("" : : "r"(more), "r"(&memory[0]) : "memory");
    walk(walker, depth - 1);
}

APART void large(Walker &walker, int depth)
{
    volatile char memory[70000];
    memory[0] = memory[69999] = 1;
    walk(walker, depth);
    memory[1] = 1;
}

struct Eventful
{
    Walker &walker;
    ~Eventful()
    {
        event(walker);
    }
};

APART void thrower(Walker &walker, int depth)
{
    Eventful at_unwind{walker};
    walk(walker, depth);
    if (walker.next(2) == 0)
        throw std::runtime_error("thrown");
}

APART void catcher(Walker &walker, int depth)
{
    try {
        Eventful at_unwind{walker};
        thrower(walker, depth);
    } catch (const std::runtime_error &) {
        event(walker);
    }
}

APART void jumper(Walker &walker, int depth)
{
    event(walker);
    if (walker.next(2) == 0)
        longjmp(walker.jump, 1);
    walk(walker, depth);
}

APART void jumped(Walker &walker, int depth)
{
    jmp_buf before;
    std::memcpy(&before, &walker.jump, sizeof before);
    if (setjmp(walker.jump) == 0)
        jumper(walker, depth);
    event(walker);
    std::memcpy(&walker.jump, &before, sizeof before);
}

int compare(const void *, const void *)
{
    event(*current);
    return 0;
}

APART void sorter(Walker &walker, int depth)
{
    int numbers[3] = {3, 1, 2};
    std::qsort(numbers, 3, sizeof numbers[0], compare);
    std::function<void()> call = [&] { walk(walker, depth); };
    call();
}

struct Base
{
    virtual ~Base() = default;
    virtual void go(Walker &walker, int depth) = 0;
};
struct Derived final : Base
{
    APART void go(Walker &walker, int depth) override
    {
        walk(walker, depth);
        __asm__ volatile("");
    }
};

APART void virtually(Walker &walker, int depth)
{
    std::unique_ptr<Base> base = std::make_unique<Derived>();
    base->go(walker, depth);
}

APART void signalled(Walker &walker, int)
{
    raise(walker.next(2) == 0 ? SIGUSR1 : SIGUSR2);
    event(walker);
}

APART void jumped_by_handler(Walker &walker, int)
{
    if (sigsetjmp(walker.handler_jump, 1) == 0)
        raise(SIGWINCH);
    event(walker);
}

extern "C" void on_signal(int)
{
    if (current != nullptr)
        event(*current);
}

extern "C" void on_jump(int)
{
    event(*current);
    siglongjmp(current->handler_jump, 1);
}

// A coroutine on a stack of its own that comes and goes.
struct Coroutine
{
    ucontext_t inside;
    ucontext_t outside;
    std::vector<char> stack = std::vector<char>(256 * 1024);
    Walker *walker = nullptr;
    bool ended = true;
};

thread_local Coroutine *entered;

extern "C" void coroutine_main()
{
    Coroutine &self = *entered;
    for (int turn = 0; turn < 3; turn++) {
        plain<3>(*self.walker, 3);
        swapcontext(&self.inside, &self.outside);
    }
    self.ended = true;
}

APART void coroutines(Walker &walker, int depth)
{
    thread_local Coroutine all[6];
    Coroutine &one = all[walker.next(6)];
    // Not from within one: its frames lie on the other's stack, which is the point, but it must come back to here.
    if (entered != nullptr)
        return walk(walker, depth);
    if (one.ended) {
        one.ended = false;
        one.walker = &walker;
        getcontext(&one.inside);
        one.inside.uc_stack.ss_sp = one.stack.data();
        one.inside.uc_stack.ss_size = one.stack.size();
        one.inside.uc_link = &one.outside;
        makecontext(&one.inside, coroutine_main, 0);
    }
    entered = &one;
    swapcontext(&one.outside, &one.inside);
    entered = nullptr;
    event(walker);
}

const Step STEPS[] = {
    plain<0>,   plain<1>,  plain<2>, plain<3>,  plain<4>,  plain<5>,          plain<6>,
    plain<7>,   tail<8>,   tail<9>,  variable,  framed,    aligned,           large,
    catcher,    jumped,    sorter,   virtually, signalled, jumped_by_handler, coroutines,
    plain<10>,  plain<11>, framed,
};

void walk(Walker &walker, int depth)
{
    if (depth <= 0)
        return event(walker);
    std::uint64_t times = 1 + walker.next(2);
    for (std::uint64_t turn = 0; turn < times; turn++) {
        if (walker.next(12) == 0) {
            recurse(walker, depth - 1, static_cast<int>(walker.next(20)));
            continue;
        }
        std::uint64_t which = walker.next(sizeof STEPS / sizeof STEPS[0]);
        // Jumps out of a coroutine, and coroutines in handlers, are undefined.
        if (entered != nullptr && (STEPS[which] == jumped || STEPS[which] == catcher))
            which = 0;
        STEPS[which](walker, depth - 1);
    }
}

APART std::uint64_t run(std::uint64_t seed, std::uint64_t rounds, std::uint64_t number)
{
    static thread_local char handler_stack[64 * 1024];
    stack_t stack = {};
    stack.ss_sp = handler_stack;
    stack.ss_size = sizeof handler_stack;
    sigaltstack(&stack, nullptr);
    Walker walker = {};
    walker.random = seed * 1000 + number;
    walker.address = 4096 * (1 + number);
    current = &walker;
    for (std::uint64_t round = 0; round < rounds; round++)
        plain<1>(walker, 8);
    current = nullptr;
    return walker.events;
}

} // namespace

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    std::uint64_t seed = std::strtoull(arguments[1], nullptr, 10);
    std::uint64_t rounds = std::strtoull(arguments[2], nullptr, 10);
    std::uint64_t threads = std::strtoull(arguments[3], nullptr, 10);
    struct sigaction action = {};
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, nullptr);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, nullptr);
    action.sa_handler = on_jump;
    sigaction(SIGWINCH, &action, nullptr);
    if (count > 4) {
        action.sa_handler = on_signal;
        action.sa_flags = SA_RESTART | SA_ONSTACK;
        sigaction(SIGALRM, &action, nullptr);
        itimerval every = {{0, 150}, {0, 150}};
        setitimer(ITIMER_REAL, &every, nullptr);
    }
    std::vector<std::thread> others;
    std::vector<std::uint64_t> events(threads + 1);
    for (std::uint64_t number = 1; number <= threads; number++)
        others.emplace_back([&, number] { events[number] = run(seed, rounds, number); });
    events[0] = run(seed, rounds, 0);
    for (std::thread &other : others)
        other.join();
    itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
    std::uint64_t sum = 0;
    for (std::uint64_t of_one : events)
        sum += of_one;
    std::printf("{\"events\": %llu}\n", static_cast<unsigned long long>(sum));
    return 0;
}
