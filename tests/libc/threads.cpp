// Threads that hand buffers of every sort to each other, while signals interrupt them and exceptions are thrown.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/time.h>
#include <thread>
#include <vector>

namespace {

std::atomic<void *> boxes[64];

void *take(unsigned random) {
    switch (random % 4) {
    case 0: return std::malloc(random % 3000);
    case 1: return std::calloc(1, random % 300);
    case 2: return ::operator new(random % 500);
    default: return std::realloc(std::malloc(10), random % 100000 + 1);
    }
}

void give(void *block, unsigned random) {
    switch (random % 3) {
    case 0: return std::free(block);
    case 1: return ::operator delete(block);
    default: return std::free(std::realloc(block, 100));
    }
}

void work(unsigned random) {
    for (int n = 0; n < 5000; n++) {
        random = random * 1103515245 + 12345;
        const unsigned drawn = random >> 16;
        give(boxes[drawn % 64].exchange(take(drawn)), drawn / 64);
        if (drawn % 50 != 0) continue;
        try {
            throw std::runtime_error(std::string(100, 'x'));
        } catch (const std::runtime_error &) {
        }
    }
}

void nothing(int) {}

} // namespace

int main() {
    struct sigaction action = {};
    action.sa_handler = nothing;
    action.sa_flags = SA_RESTART;
    sigaction(SIGPROF, &action, nullptr);
    const itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_PROF, &often, nullptr);
    std::vector<std::thread> threads;
    for (unsigned n = 0; n < 6; n++) threads.emplace_back(work, n);
    for (std::thread &thread : threads) thread.join();
    for (std::atomic<void *> &box : boxes) std::free(box.exchange(nullptr));
    std::puts("done");
}
