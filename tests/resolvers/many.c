// Hands out more functions by one name than there are spare stubs.
#include "check.h"

#define COUNT 3000

typedef void *(*Take)(void *block);
typedef void (*Give)(void *block);

void *many_get(const char *name, long which);

#ifdef LIBRARY

__asm__(".text\n.balign 16\n.hidden many_code\n.globl many_code\nmany_code:\n"
        ".rept 3000\n endbr64\n mov %rdi, %rax\n ret\n .balign 16\n.endr\n");
extern const char many_code[];

static void give(void *block) { (void)block; }

void *many_get(const char *name, long which) {
    if (strcmp(name, "many_give") == 0) return (void *)give;
    return strcmp(name, "many_take") == 0 ? (void *)(many_code + 16 * which) : 0;
}

#else

int main(void) {
    Give give = (Give)many_get("many_give", 0);
    static void *first[COUNT];
    for (int turn = 0; turn < 2; turn++) {
        for (long which = 0; which < COUNT; which++) {
            void *take = many_get("many_take", which);
            if (turn == 0) first[which] = take;
            CHECK(take == first[which]);
            void *block = (void *)(0x100000 + 64 * which);
            CHECK(((Take)take)(block) == block);
            give(block);
        }
    }
    puts("{\"handed_out\": 3000}");
    return 0;
}

#endif
