/*
 * A host to which the world is unkind: its calls of the system are denied, its memory and files are limited, its disk is
 * full. It is not linked with the library, so it says the same whether that is there or not, and its output and exit code
 * are what it is compared by: faults THREADS ROUNDS [WORD...]. Words are done in their order, after the rounds so far:
 *   deny=NUMBER,ERRNO     from now on this system call fails so (by seccomp); several are added up
 *   limit=RESOURCE,VALUE  a limit of this process's
 *   more                  as many rounds again, in the same number of threads (not with more than one: the threads run on)
 *   fork, flush, dump     a child with rounds of its own; wf_flush; a report into a file that is thrown away
 *   fence                 waits until a byte can be read from stdin
 * First in the list, "first" says that the words come before any event.
 *
 * It does without what a filter may deny: what it says goes by writev, and no memory is taken after the beginning.
 * WHOFREED_ACCOUNT names a file for a line of each process: how many events it made, how many of them were dropped,
 * as the library says, and how many were recorded in full.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WHOFREED_WEAK
#include "whofreed.h"

#include "check.h"

enum { CANARY = 77, MOST_THREADS = 64 };

static unsigned long rounds;
static volatile unsigned long events, canaries;
static int account = -1;

static void say(int fd, const char *text) {
  struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
  if (writev(fd, &piece, 1) < 0) _exit(99);
}

/* A wrong errno after a call is the host's damage. */
static void look(void) {
  if (errno != CANARY) __atomic_fetch_add(&canaries, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&events, 1, __ATOMIC_RELAXED);
}

static NOINLINE void take(uint64_t address, uint64_t owner) {
  errno = CANARY;
  wf_allocate(0, address, 64, 0, owner);
  look();
}

static NOINLINE void give(uint64_t address, uint64_t owner) {
  errno = CANARY;
  wf_deallocate(0, address, owner);
  look();
}

/* Every eighth free is one too many. */
static void work(unsigned long thread) {
  for (unsigned long i = 0; i < rounds; i++) {
    const uint64_t address = 0x100000 * (thread + 1) + 64 * (i % 512);
    const uint64_t owner = (uint64_t)getpid() * 1000000000 + thread * 10000000 + events + i + 1;
    take(address, owner);
    give(address, owner);
    if (i % 8 == 7) give(address, owner);
  }
}

static int turn[2], done[2];

static void *body(void *argument) {
  char byte;
  while (read(turn[0], &byte, 1) == 1) {
    work((unsigned long)(uintptr_t)argument);
    struct iovec piece = {&byte, 1};
    if (writev(done[1], &piece, 1) != 1) _exit(98);
  }
  return NULL;
}

/* Threads wait for their turns by pipes, since a futex may be denied. */
static void work_in(unsigned long threads) {
  char bytes[MOST_THREADS] = {0};
  struct iovec piece = {bytes, threads};
  if (threads > 0 && writev(turn[1], &piece, 1) != (ssize_t)threads) _exit(97);
  work(threads);
  for (unsigned long i = 0; i < threads; i++) {
    while (read(done[0], bytes, 1) != 1) {
    }
  }
}

static struct sock_filter filter[64];
static unsigned short length;

/* The filters of one process are added up; a number of any other machine's is let through. */
static void deny(unsigned number, unsigned error) {
  length = 0;
  filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
  filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
  filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {length, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(96);
  /* For all threads: the library's own is one of them. */
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) _exit(95);
}

static void tell_account(void) {
  if (account < 0) return;
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  wf_stats_t stats;
  wf_stats(&stats);
  char line[96];
  snprintf(line, sizeof line, "%lu %llu %llu\n", events, (unsigned long long)stats.dropped_events,
           (unsigned long long)(stats.allocations + stats.deallocations));
  say(account, line);
}

static void with_child(void) {
  const pid_t child = fork();
  if (child == 0) {
    events = 0;
    work(7);
    tell_account();
    _exit(canaries ? 94 : 0);
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) _exit(93);
}

static void dump(void) {
  const int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
  errno = CANARY;
  wf_dump_culprits(file);
  if (errno != CANARY) canaries++;
  close(file);
}

static void obey(const char *word, unsigned long threads) {
  unsigned first, second;
  if (sscanf(word, "deny=%u,%u", &first, &second) == 2) {
    deny(first, second);
  } else if (sscanf(word, "limit=%u,%u", &first, &second) == 2) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)first, &limit) != 0) _exit(92);
    limit.rlim_cur = second;
    if (setrlimit((__rlimit_resource_t)first, &limit) != 0) _exit(92);
  } else if (!strcmp(word, "more")) {
    work_in(threads);
  } else if (!strcmp(word, "fork")) {
    with_child();
  } else if (!strcmp(word, "dump")) {
    dump();
  } else if (!strcmp(word, "flush")) {
    errno = CANARY;
    wf_flush();
    if (errno != CANARY) canaries++;
  } else if (!strcmp(word, "fence")) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) < 0) {
    }
  }
}

int main(int argc, char **argv) {
  const unsigned long threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
  const char *path = getenv("WHOFREED_ACCOUNT");
  /* Out of the way of descriptors that would be missed. */
  if (path) account = fcntl(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), F_DUPFD_CLOEXEC, 100);
  CHECK(threads <= MOST_THREADS && pipe(turn) == 0 && pipe(done) == 0);
  for (unsigned long i = 0; i < threads; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, (void *)(uintptr_t)i) == 0);
  }
  int word = 3;
  const int comes_late = !(argc > word && !strcmp(argv[word], "first"));
  if (comes_late) work_in(threads);
  for (; word < argc; word++) obey(argv[word], threads);
  if (!comes_late) work_in(threads);
  char line[96];
  snprintf(line, sizeof line, "{\"host\": \"faults\", \"events\": %lu, \"canaries\": %lu}\n", events, canaries);
  say(STDOUT_FILENO, line);
  tell_account();
  return 23;
}
