// What telling another process of every event costs: churn.c, whose events each go by one blocking send of 128 bytes
// over a stream socket to a process that reads them one by one, as servers do that keep the books of many processes.
//
// Built with -DTELLS=0 it tells nobody. With -DPAUSE_NS=N it spends so much processor time after each event that the
// reader is asleep at the next; whatever is compared has to do so as well. It ends after its reader, whose processor
// time is then known.

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef TELLS
#define TELLS 1
#endif
#ifndef PAUSE_NS
#define PAUSE_NS 0
#endif

enum { MESSAGE = 128 };

struct message {
  uint64_t kind, address, size, time;
  char rest[MESSAGE - 4 * sizeof(uint64_t)];
};

static int channel;
static pid_t reader;

static uint64_t now_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void tell(uint64_t kind, const void *address, size_t size) {
  if (TELLS) {
    struct message message = {kind, (uintptr_t)address, size, now_ns(CLOCK_MONOTONIC), {0}};
    if (send(channel, &message, sizeof message, MSG_NOSIGNAL) != sizeof message) abort();
  }
  if (PAUSE_NS > 0)
    for (uint64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + PAUSE_NS; now_ns(CLOCK_THREAD_CPUTIME_ID) < end;) {
    }
}

static inline void *told_malloc(size_t size) {
  void *block = malloc(size);
  tell(1, block, size);
  return block;
}

static inline void told_free(void *block) {
  tell(2, block, 0);
  free(block);
}

__attribute__((constructor)) static void connect_reader(void) {
  int ends[2];
  if (!TELLS) return;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
  reader = fork();
  if (reader < 0) abort();
  channel = ends[1];
  if (reader > 0) {
    close(ends[0]);
    return;
  }
  close(ends[1]);
  static volatile uint64_t seen;
  struct message message;
  while (recv(ends[0], &message, sizeof message, MSG_WAITALL) == sizeof message) seen += message.address;
  _exit(0);
}

__attribute__((destructor)) static void wait_for_reader(void) {
  if (reader <= 0) return;
  close(channel);
  waitpid(reader, NULL, 0);
}

#define malloc(size) told_malloc(size)
#define free(block) told_free(block)
#include "churn.c"
