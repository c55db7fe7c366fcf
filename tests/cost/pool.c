// The library of `cargo xtask soak hook-cost`: functions that do next to nothing.

int pool_plain(long number) { return number != 0; }
int pool_tail(long number) { return number != 0; }
int pool_call(long number) { return number != 0; }
int pool_wide(long number) { return number != 0; }
int versioned_1(long number) { return number != 0; }
int versioned_2(long number) { return number != 1; }
__asm__(".symver versioned_1, pool_versioned@POOL_1\n.symver versioned_2, pool_versioned@@POOL_2");
