// A program with a known culprit: `host PATTERN unknown|unique|pointers [SEED [STEPS]]`; without arguments it lists its
// patterns. Its last line says by its own account which function freed too often, and how often.
#include <cstring>

#include "parts.hpp"
#include "runtime.hpp"

namespace rt {

std::vector<Entry> &entries() {
  static std::vector<Entry> *const entries = new std::vector<Entry>;
  return *entries;
}

namespace {

std::unique_ptr<Allocator> allocator_of(std::uint64_t seed) {
  switch (seed % 3) {
    case 0: return std::make_unique<BestFit>(0x80000);
    case 1: return std::make_unique<Blocks>(Blocks::Order::last_in_first_out, 256);
    default: return std::make_unique<Blocks>(Blocks::Order::first_in_first_out, 160);
  }
}

}  // namespace

Machine::Machine(std::uint64_t seed, std::uint64_t steps) : random(seed), steps_(steps), chance_(10 + random.below(25)) {
  const bool trusting = seed / 3 % 2 == 1;
  for (std::uint32_t id = 0; id < 1 + seed % 2; ++id) {
    devices.push_back(std::make_unique<Device>(id, allocator_of(seed), trusting));
  }
}

void Machine::tick() {
  if (random.percent(chance_)) {
    pattern_->step(*this);
  }
}

void Machine::wind_down() { parts::wind_down(*this); KEEP_FRAME; }

void Machine::run(Pattern &pattern) {
  pattern_ = &pattern;
  for (now = 0; now < steps_; ++now) {
    parts::run(*this, random.below(parts::count));
    parts::retire(*this);
  }
  pattern.finish(*this);
  wind_down();
  KEEP_FRAME;
}

namespace {

const Entry *entry_named(const char *name) {
  for (const Entry &entry : entries()) {
    if (std::strcmp(entry.name, name) == 0) {
      return &entry;
    }
  }
  return nullptr;
}

// Among the first objects to be made, so among the last to die: static objects of patterns free in between.
class LastWords {
 public:
  ~LastWords() {
    if (entry != nullptr) {
      Account::of_program().print(entry->name, seed, entry->pair, entry->clean);
    }
  }

  const Entry *entry = nullptr;
  std::uint64_t seed = 0;
};

__attribute__((init_priority(200))) LastWords last_words;

bool set_owners(const char *name) {
  Owners &owners = Account::of_program().owners;
  if (std::strcmp(name, "unique") == 0) {
    owners = Owners::unique;
  } else if (std::strcmp(name, "pointers") == 0) {
    owners = Owners::pointers;
    wf_owners_are_pointers(1);
  } else if (std::strcmp(name, "unknown") != 0) {
    return false;
  }
  return true;
}

}  // namespace

}  // namespace rt

int main(int argc, char **argv) {
  if (argc < 3) {
    for (const rt::Entry &entry : rt::entries()) {
      std::puts(entry.name);
    }
    return 0;
  }
  const rt::Entry *const entry = rt::entry_named(argv[1]);
  if (entry == nullptr || !rt::set_owners(argv[2])) {
    std::fprintf(stderr, "corpus: %s %s: there is no such run\n", argv[1], argv[2]);
    return 2;
  }
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const std::uint64_t steps = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 700;
  wf_name_kind(1, "device buffer");
  // Static objects of patterns free at exit: the devices outlive them.
  rt::Machine *const machine = new rt::Machine(seed, steps);
  const std::unique_ptr<rt::Pattern> pattern = entry->make(*machine);
  rt::last_words.entry = entry;
  rt::last_words.seed = seed;
  machine->run(*pattern);
}
