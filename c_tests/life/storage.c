/* A library that takes thread-local storage from what the linker keeps for such. */
char *storage(void);

/* The C library itself has no room for 4 KiB beside an audit library. */
static __thread char place[1024] = {1};

char *storage(void) { return place; }
