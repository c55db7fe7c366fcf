// The innocent traffic: parts of a program that allocate and free as they should, each at its own call sites.
#ifndef CORPUS_PARTS_HPP
#define CORPUS_PARTS_HPP

#include "runtime.hpp"

namespace parts {

// Runs one of the parts.
void run(rt::Machine &machine, unsigned which);

inline constexpr unsigned count = 8;

// What is due at this step.
void retire(rt::Machine &machine);

// Frees what is left.
void wind_down(rt::Machine &machine);

// The helper that several parts free by, and patterns, too.
void release(rt::Machine &machine, const rt::Handle &handle);

}  // namespace parts

#endif
