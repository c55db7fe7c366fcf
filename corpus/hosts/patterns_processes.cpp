// Threads, forked children, and the end of the process.
#include <array>
#include <condition_variable>
#include <deque>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "parts.hpp"

using rt::Account;
using rt::Culprit;
using rt::Handle;
using rt::Later;
using rt::Machine;

// A static object frees at exit what had been freed while the program ran.
namespace static_exit {

class Registry {
 public:
  void add(Machine &machine, const Handle &handle) {
    machine_ = &machine;
    handles_.push_back(handle);
  }

  ~Registry() {
    const Culprit here("static_exit::Registry::~Registry");
    for (const Handle &handle : handles_) {
      machine_->device_of(handle).deallocate(handle);
    }
  }

 private:
  Machine *machine_ = nullptr;
  std::vector<Handle> handles_;
};

Registry registry;

class Plugins final : public rt::Pattern {
 public:
  explicit Plugins(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    loaded_.put(handle, machine.soon(8));
    registry.add(machine, handle);
    unload(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override { unload(machine, ~0ull); KEEP_FRAME; }

 private:
  NOINLINE void unload(Machine &machine, std::uint64_t now) {
    while (const auto handle = loaded_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
    }
    KEEP_FRAME;
  }

  Later<Handle> loaded_;
};

const rt::Register<Plugins> registered("static_exit", {"static_exit::Plugins::unload", "static_exit::Registry::~Registry"});

}  // namespace static_exit

// A forked child frees what its parent has freed already.
namespace forked_child {

class Worker final : public rt::Pattern {
 public:
  explicit Worker(Machine &) {}

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    waiting_.put(handle, machine.soon(6));
    expire(machine, machine.now);
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    expire(machine, ~0ull);
    int ends[2];
    if (pipe(ends) != 0) {
      std::abort();
    }
    const pid_t child = fork();
    Account &account = Account::of_program();
    if (child == 0) {
      const Account::OfChild before = account.so_far();
      cleanup(machine);
      machine.wind_down();
      const Account::OfChild after = account.so_far();
      const Account::OfChild found{after.deallocations - before.deallocations, after.surplus - before.surplus,
                                   after.seen_at_addresses - before.seen_at_addresses};
      _exit(write(ends[1], &found, sizeof found) == sizeof found ? 0 : 1);
    }
    Account::OfChild found{};
    int status = 1;
    if (read(ends[0], &found, sizeof found) != sizeof found || waitpid(child, &status, 0) != child || status != 0) {
      std::abort();
    }
    close(ends[0]);
    close(ends[1]);
    account.add(found, "forked_child::Worker::cleanup");
  }

 private:
  NOINLINE void expire(Machine &machine, std::uint64_t now) {
    while (const auto handle = waiting_.take(now)) {
      machine.device_of(*handle).deallocate(*handle);
      expired_.push_back(*handle);
    }
    KEEP_FRAME;
  }

  NOINLINE void cleanup(Machine &machine) {
    const Culprit here("forked_child::Worker::cleanup");
    for (const Handle &handle : expired_) {
      machine.device_of(handle).deallocate(handle);
    }
  }

  Later<Handle> waiting_;
  std::vector<Handle> expired_;
};

const rt::Register<Worker> registered("forked_child");

}  // namespace forked_child

// A thread frees what is queued, while a bulk free takes everything there is, the queued with it.
namespace async_queue {

class Queue {
 public:
  explicit Queue(Machine &machine) : machine_(machine), thread_([this] { drain(); }) {}

  ~Queue() { close(); }

  void close() {
    {
      const std::lock_guard<std::mutex> guard(lock_);
      closed_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  void put(const Handle &handle) {
    {
      const std::lock_guard<std::mutex> guard(lock_);
      queued_.push_back(handle);
    }
    wake_.notify_one();
  }

  // Returns when all that was put is freed.
  void settle() {
    std::unique_lock<std::mutex> guard(lock_);
    settled_.wait(guard, [this] { return queued_.empty() && !busy_; });
  }

 private:
  NOINLINE void drain() {
    const Culprit here("async_queue::Queue::drain");
    std::unique_lock<std::mutex> guard(lock_);
    while (true) {
      wake_.wait(guard, [this] { return closed_ || !queued_.empty(); });
      if (queued_.empty()) {
        return;
      }
      const Handle handle = queued_.front();
      queued_.pop_front();
      busy_ = true;
      guard.unlock();
      machine_.device_of(handle).deallocate(handle);
      guard.lock();
      busy_ = false;
      settled_.notify_all();
    }
  }

  Machine &machine_;
  std::mutex lock_;
  std::condition_variable wake_;
  std::condition_variable settled_;
  std::deque<Handle> queued_;
  bool busy_ = false;
  bool closed_ = false;
  std::thread thread_;
};

class Pool final : public rt::Pattern {
 public:
  explicit Pool(Machine &machine) : queue_(machine) {}

  void step(Machine &machine) override {
    const Handle handle = machine.device().allocate(machine.size());
    if (machine.random.percent(40)) {
      queue_.put(handle);
    } else {
      held_.push_back(handle);
      if (machine.random.percent(20)) {
        queue_.put(handle);
      }
    }
    if (held_.size() > 5) {
      // Which of the two comes last is up to the seed, and not only to how busy the machine is.
      if (machine.random.percent(50)) {
        queue_.settle();
      }
      free_all(machine);
    }
    KEEP_FRAME;
  }

  void finish(Machine &machine) override {
    free_all(machine);
    queue_.close();
  }

 private:
  NOINLINE void free_all(Machine &machine) {
    const Culprit here("async_queue::Pool::free_all");
    for (const Handle &handle : held_) {
      machine.device_of(handle).deallocate(handle);
    }
    held_.clear();
  }

  std::vector<Handle> held_;
  Queue queue_;
};

const rt::Register<Pool> registered("async_queue", {"async_queue::Queue::drain", "async_queue::Pool::free_all"});

}  // namespace async_queue

// Two threads are handed the same buffer, and each frees it. Which of them comes last is up to the seed.
namespace threads {

class Crew final : public rt::Pattern {
 public:
  explicit Crew(Machine &) {}

  void step(Machine &machine) override {
    const Handle both = machine.device().allocate(machine.size());
    const Handle left = machine.device().allocate(machine.size());
    const Handle right = machine.random.percent(40) ? both : machine.device().allocate(machine.size());
    std::array<std::pair<Handle, Handle>, 2> shares = {{{both, both}, {left, right}}};
    if (machine.random.percent(50)) {
      std::swap(shares[0], shares[1]);
    }
    const bool one_by_one = machine.random.percent(50);
    std::array<std::thread, 2> crew;
    for (std::size_t one = 0; one < crew.size(); ++one) {
      crew[one] = std::thread([&machine, &shares, one] { work(machine, shares[one].first, shares[one].second); });
      if (one_by_one) {
        crew[one].join();
      }
    }
    for (std::thread &other : crew) {
      if (other.joinable()) {
        other.join();
      }
    }
  }

 private:
  NOINLINE static void work(Machine &machine, const Handle &first, const Handle &second) {
    const Culprit here("threads::Crew::work");
    const bool differ = first.life != second.life;
    for (const Handle *handle = &first; handle != nullptr; handle = handle == &first && differ ? &second : nullptr) {
      machine.device_of(*handle).deallocate(*handle);
    }
  }
};

const rt::Register<Crew> registered("threads");

}  // namespace threads
