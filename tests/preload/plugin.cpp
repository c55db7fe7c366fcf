// Opened late and privately, linked with the toy runtime; it allocates before its constructors are done.
#include "toy.hpp"

namespace {
void *made_early = toy_take(8);
} // namespace

extern "C" int plugin_run() {
    void *made_late = toy_take(8);
    toy_give(made_early);
    toy_give(made_late);
    toy_give(made_late); // excess
    return 1;
}
