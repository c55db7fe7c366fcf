// What a program of the corpus knows of itself: who held what, and so which free was one too many, and whose.
#ifndef CORPUS_ACCOUNT_HPP
#define CORPUS_ACCOUNT_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace rt {

// What a holder keeps. It may be copied at will: nothing of it is looked at again after the buffer is gone.
struct Handle {
  std::uint32_t device;
  std::uint64_t address;
  std::uint64_t size;
  std::uint64_t life;    // Unique.
  std::uint64_t object;  // The pointer of the object that held it; a later object may have the same one.
};

// What the program tells of its owners.
enum class Owners { unknown, unique, pointers };

class Account {
 public:
  // It outlives every static object.
  static Account &of_program() {
    static Account *const account = new Account;
    return *account;
  }

  std::mutex lock;  // Held by whoever calls the functions below, and while whofreed is told of the same event.
  Owners owners = Owners::unknown;

  std::uint64_t next_life() { return ++lives_; }

  std::uint64_t owner(const Handle &handle) const {
    switch (owners) {
      case Owners::unique: return handle.life;
      case Owners::pointers: return handle.object;
      default: return 0;
    }
  }

  void allocated(const Handle &handle) {
    ++allocations_;
    rights_[{handle.device, handle.life}] = 1;
    const Place place{handle.device, handle.address};
    seen_.insert(place);
    ++open_[place];
  }

  // Of a buffer that was there before anybody looked.
  void held_before(const Handle &handle) { rights_[{handle.device, handle.life}] = 1; }

  void retained(const Handle &handle) {
    ++rights_[{handle.device, handle.life}];
    ++open_[{handle.device, handle.address}];
  }

  // The view shares the rights of what it looks into.
  void viewed(const Handle &view, const Handle &parent) { roots_[view.life] = root_of(parent.life); }

  enum class Free { last, rightful, surplus };

  // One free, on whichever device it is asked of.
  Free freed(std::uint32_t device, const Handle &handle) {
    ++deallocations_;
    const Place place{device, handle.address};
    const bool seen = seen_.count(place) != 0;
    std::uint64_t &open = open_[place];
    if (open > 0) {
      --open;
    } else if (seen) {
      ++seen_at_addresses_;
    }
    const char *const culprit = std::exchange(once_, nullptr);
    std::uint64_t &rights = rights_[{device, root_of(handle.life)}];
    if (rights > 0) {
      return --rights == 0 ? Free::last : Free::rightful;
    }
    // An address that was never handed out is unknown, by definition nobody's excess free.
    if (seen) {
      charge(culprit != nullptr ? culprit : here_, 1);
    }
    return Free::surplus;
  }

  // What a forked child found is added to what its parent knows.
  struct OfChild {
    std::uint64_t deallocations, surplus, seen_at_addresses;
  };

  OfChild so_far() const { return {deallocations_, surplus_, seen_at_addresses_}; }

  void add(const OfChild &child, const char *culprit) {
    charge(culprit, child.surplus);
    deallocations_ += child.deallocations;
    seen_at_addresses_ += child.seen_at_addresses;
  }

  void print(const char *pattern, std::uint64_t seed, const std::vector<const char *> &pair, bool clean) const {
    static const char *const names[] = {"unknown", "unique", "pointers"};
    std::string culprits;
    for (const auto &[name, count] : culprits_) {
      culprits += (culprits.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(count);
    }
    std::string either;
    for (const char *const name : pair) {
      either += std::string(either.empty() ? "\"" : ", \"") + name + "\"";
    }
    const std::uint64_t excess = owners == Owners::unknown ? seen_at_addresses_ : surplus_;
    std::printf("{\"pattern\": \"%s\", \"seed\": %llu, \"owners\": \"%s\", \"allocations\": %llu, "
                "\"deallocations\": %llu, \"excess\": %llu, \"culprits\": {%s}, \"pair\": [%s], \"clean\": %s}\n",
                pattern, count(seed), names[static_cast<int>(owners)], count(allocations_), count(deallocations_),
                count(excess), culprits.c_str(), either.c_str(), clean ? "true" : "false");
    std::fflush(stdout);
  }

 private:
  friend class Culprit;
  friend void accuse(const char *);
  using Place = std::pair<std::uint32_t, std::uint64_t>;

  static unsigned long long count(std::uint64_t value) { return value; }

  std::uint64_t root_of(std::uint64_t life) const {
    const auto root = roots_.find(life);
    return root == roots_.end() ? life : root->second;
  }

  void charge(const char *culprit, std::uint64_t frees) {
    if (frees == 0) {
      return;
    }
    if (culprit == nullptr) {
      std::fputs("corpus: a surplus free of which nobody said whose it is\n", stderr);
      std::abort();
    }
    culprits_[culprit] += frees;
    surplus_ += frees;
  }

  inline static thread_local const char *here_ = nullptr;
  inline static thread_local const char *once_ = nullptr;

  std::uint64_t lives_ = 0;
  std::uint64_t allocations_ = 0;
  std::uint64_t deallocations_ = 0;
  std::uint64_t surplus_ = 0;
  std::uint64_t seen_at_addresses_ = 0;  // Excess frees as they look to one who knows no owners.
  std::map<Place, std::uint64_t> rights_;
  std::map<std::uint64_t, std::uint64_t> roots_;
  std::map<Place, std::uint64_t> open_;
  std::set<Place> seen_;
  std::map<std::string, std::uint64_t> culprits_;
};

// Stands in a function whose frees can be one too many, and has its name.
class Culprit {
 public:
  explicit Culprit(const char *function) : before_(std::exchange(Account::here_, function)) {}
  ~Culprit() { Account::here_ = before_; }
  Culprit(const Culprit &) = delete;
  Culprit &operator=(const Culprit &) = delete;

 private:
  const char *before_;
};

// The same for the next free only, for a function that must do nothing after it.
inline void accuse(const char *function) { Account::once_ = function; }

}  // namespace rt

#endif
