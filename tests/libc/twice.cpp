// A cache deletes what it was only lent, a while after the owner did. By then the address may be another's: it takes the
// memory from the new owner, whose own delete then looks guilty, or hits the next one in turn.
#include <cstdio>
#include <deque>

struct Widget {
    char bytes[200];
};

#define APART __attribute__((noinline))
// Keeps the call from being the last thing that a function does, and so from leaving the stack.
#define DONE asm volatile("" ::: "memory")

template <int which> struct Operator {
    static APART Widget *make() {
        Widget *made = new Widget;
        DONE;
        return made;
    }
    static APART void drop(Widget *widget) {
        delete widget;
        DONE;
    }
};

struct Cache {
    static APART void evict(Widget *widget) {
        delete widget; // the bug
        DONE;
    }
};

struct Job {
    Widget *(*make)();
    void (*drop)(Widget *);
};

int main() {
    const Job jobs[] = {{Operator<0>::make, Operator<0>::drop},
                        {Operator<1>::make, Operator<1>::drop},
                        {Operator<2>::make, Operator<2>::drop},
                        {Operator<3>::make, Operator<3>::drop}};
    struct Running {
        const Job *job;
        Widget *widget;
    };
    std::deque<Running> running;
    unsigned random = 7;
    const auto next = [&random](unsigned below) {
        random = random * 1103515245 + 12345;
        return (random >> 16) % below;
    };
    Widget *lent = nullptr;
    for (int n = 0; n < 600; n++) {
        const Job *job = &jobs[next(4)];
        running.push_back({job, job->make()});
        if (next(3) == 0 && lent != nullptr) {
            Cache::evict(lent);
            lent = nullptr;
        }
        while (running.size() > 1 + next(4)) {
            running.front().job->drop(running.front().widget);
            if (next(5) == 0) lent = running.front().widget;
            running.pop_front();
        }
    }
    while (!running.empty()) {
        running.front().job->drop(running.front().widget);
        running.pop_front();
    }
    std::puts("done");
}
