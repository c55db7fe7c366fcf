// How the small runtime's devices hand out addresses. A block is handed out or it is not: an allocator knows nothing of
// holders, and what is not handed out cannot come back.
#ifndef CORPUS_ALLOCATORS_HPP
#define CORPUS_ALLOCATORS_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>

namespace rt {

class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual std::uint64_t take(std::uint64_t size) = 0;
  virtual void give_back(std::uint64_t address) = 0;

 protected:
  static constexpr std::uint64_t base = 0x20000000;
  static constexpr std::uint64_t block_size = 0x1000;

  [[noreturn]] static void exhausted() {
    std::fputs("corpus: the device is exhausted\n", stderr);
    std::_Exit(3);
  }
};

// Blocks of one size. The one that came back last is handed out first, or last.
class Blocks final : public Allocator {
 public:
  enum class Order { last_in_first_out, first_in_first_out };

  Blocks(Order order, std::uint64_t count) : order_(order) {
    for (std::uint64_t block = 0; block < count; ++block) {
      free_.push_back(base + block * block_size);
    }
  }

  std::uint64_t take(std::uint64_t) override {
    if (free_.empty()) {
      exhausted();
    }
    const std::uint64_t address = free_.front();
    free_.pop_front();
    handed_out_.insert(address);
    return address;
  }

  void give_back(std::uint64_t address) override {
    if (handed_out_.erase(address) == 0) {
      return;
    }
    if (order_ == Order::last_in_first_out) {
      free_.push_front(address);
    } else {
      free_.push_back(address);
    }
  }

 private:
  Order order_;
  std::deque<std::uint64_t> free_;
  std::set<std::uint64_t> handed_out_;
};

// The smallest hole that is large enough is split; neighbouring holes become one.
class BestFit final : public Allocator {
 public:
  explicit BestFit(std::uint64_t capacity) { holes_.emplace(base, capacity); }

  std::uint64_t take(std::uint64_t size) override {
    auto best = holes_.end();
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
      if (hole->second >= size && (best == holes_.end() || hole->second < best->second)) {
        best = hole;
      }
    }
    if (best == holes_.end()) {
      exhausted();
    }
    const std::uint64_t address = best->first;
    const std::uint64_t left = best->second - size;
    holes_.erase(best);
    if (left > 0) {
      holes_.emplace(address + size, left);
    }
    handed_out_.emplace(address, size);
    return address;
  }

  void give_back(std::uint64_t address) override {
    const auto block = handed_out_.find(address);
    if (block == handed_out_.end()) {
      return;
    }
    std::uint64_t size = block->second;
    handed_out_.erase(block);
    const auto after = holes_.find(address + size);
    if (after != holes_.end()) {
      size += after->second;
      holes_.erase(after);
    }
    auto before = holes_.lower_bound(address);
    if (before != holes_.begin() && (--before)->first + before->second == address) {
      before->second += size;
    } else {
      holes_.emplace(address, size);
    }
  }

 private:
  std::map<std::uint64_t, std::uint64_t> holes_;
  std::map<std::uint64_t, std::uint64_t> handed_out_;
};

}  // namespace rt

#endif
