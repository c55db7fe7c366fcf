// A double free from a signal handler that has interrupted a function which finds its caller by a register that hardly any does: by rbx.

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

void pool_take(uint64_t address);
void pool_give(uint64_t address);

void odd(int (*function)(int), int number);
__asm__(".globl odd\n"
        ".type odd, @function\n"
        "odd:\n"
        "  .cfi_startproc\n"
        "  push %rbx\n"
        "  .cfi_def_cfa_offset 16\n"
        "  .cfi_offset rbx, -16\n"
        "  mov %rsp, %rbx\n"
        "  .cfi_def_cfa_register rbx\n"
        "  mov %rdi, %rax\n"
        "  mov %esi, %edi\n"
        "  call *%rax\n"
        "  mov %rbx, %rsp\n"
        "  .cfi_def_cfa_register rsp\n"
        "  pop %rbx\n"
        "  .cfi_def_cfa_offset 8\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size odd, .-odd\n");

static int give(int number) {
  (void)number;
  pool_give(4096);
  return 0;
}

static void handler(int number) { give(number); }

int main(int count, char **arguments) {
  (void)arguments;
  signal(SIGUSR1, handler);
  pool_take(4096);
  give(0);
  // With an argument there is no signal in between.
  if (count > 1)
    odd(give, SIGUSR1);
  else
    odd(raise, SIGUSR1);
  printf("{\"events\": 3}\n");
  return 0;
}
