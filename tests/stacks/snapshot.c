// Stacks of a machine that the tests do not run on: in each snapshot its registers (instruction, stack pointer, frame
// pointer, return address), the words of the stack, and what the C++ runtime's unwinder makes of it.

#define _GNU_SOURCE
#include <alloca.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#define APART __attribute__((noinline, noclone))

extern void *__libc_stack_end;

static unsigned seed = 1;

static _Unwind_Reason_Code tell(struct _Unwind_Context *context, void *nothing)
{
    (void)nothing;
    printf("frame %lx\n", (unsigned long)_Unwind_GetIP(context));
    return _URC_NO_REASON;
}

APART static void snapshot(void)
{
    uint64_t registers[4];
    __asm__ volatile("adr %0, .\n"
                     "mov %1, sp\n"
                     "mov %2, x29\n"
                     "mov %3, x30\n"
                     : "=&r"(registers[0]), "=&r"(registers[1]), "=&r"(registers[2]), "=&r"(registers[3]));
    printf("snapshot %lx %lx %lx %lx\n", registers[0], registers[1], registers[2], registers[3]);
    printf("stack");
    const uint64_t *end = (const uint64_t *)__libc_stack_end;
    for (const uint64_t *word = (const uint64_t *)registers[1]; word < end; word++)
        printf(" %lx", *word);
    printf("\n");
    _Unwind_Backtrace(tell, NULL);
    __asm__ volatile("");
}

static void walk(int depth);

APART static void plain(int depth)
{
    volatile char frame[40];
    frame[0] = 1;
    walk(depth);
    frame[1] = frame[0];
}

APART static void large(int depth)
{
    volatile char frame[5000];
    frame[0] = 1;
    walk(depth);
    frame[1] = frame[0];
}

APART static void variable(int depth)
{
    size_t size = 16 + seed % 300;
    char *memory = alloca(size);
    memset(memory, 1, size);
    walk(depth);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

APART static double saving(int depth)
{
    double sum = (double)depth * 1.5;
    walk(depth);
    __asm__ volatile("" : "+w"(sum));
    return sum;
}

APART static int tail(int depth)
{
    walk(depth);
    return 0;
}

static int depth_of_comparison;

static int compare(const void *one, const void *other)
{
    (void)one;
    (void)other;
    walk(depth_of_comparison);
    return 0;
}

APART static void sorting(int depth)
{
    int numbers[2] = {2, 1};
    depth_of_comparison = depth;
    qsort(numbers, 2, sizeof numbers[0], compare);
    __asm__ volatile("");
}

static void walk(int depth)
{
    if (depth <= 0) {
        snapshot();
        __asm__ volatile("");
        return;
    }
    seed = seed * 1103515245u + 12345u;
    switch (seed >> 16 & 7) {
    case 0: large(depth - 1); break;
    case 1: variable(depth - 1); break;
    case 2: (void)saving(depth - 1); break;
    case 3: (void)tail(depth - 1); break;
    case 4: sorting(depth - 1); break;
    default: plain(depth - 1); break;
    }
    __asm__ volatile("");
}

static int object(struct dl_phdr_info *info, size_t size, void *nothing)
{
    (void)size;
    (void)nothing;
    printf("object %lx %s\n", (unsigned long)info->dlpi_addr, info->dlpi_name);
    return 0;
}

int main(void)
{
    dl_iterate_phdr(object, NULL);
    for (int turn = 0; turn < 60; turn++)
        walk(turn % 12);
    return 0;
}
