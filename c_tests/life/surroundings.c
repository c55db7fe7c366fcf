/*
 * What hosts do to their surroundings between events: surroundings NOTES FOLDER WAY. Files that it opens afterwards are its own:
 * nobody else may write to them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events.h"

enum { FILES = 300, BEFORE = 3000, AFTER = 6000 };

typedef struct {
  _Atomic uint64_t value;
  char padding[56];
} word;

/* What the test reads: how many calls have returned, and those of a daemon; then whether it is done. */
static word *notes;
static int files[FILES];

static void events(uint64_t thread, uint64_t until) {
  for (uint64_t n = atomic_load(&notes[thread].value) + 1; n <= until; ++n) {
    nth_event(thread, n, (unsigned)n % 7);
    atomic_store(&notes[thread].value, n);
  }
}

/* Takes the numbers of descriptors that are free, and writes to each. */
static void take_descriptors(const char *folder) {
  char path[4096];
  for (int i = 0; i < FILES; ++i) {
    snprintf(path, sizeof path, "%s/file%d", folder, i);
    files[i] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(files[i] >= 0 && write(files[i], "mine", 4) == 4);
  }
}

static void check_descriptors(void) {
  for (int i = 0; i < FILES; ++i) {
    char text[8] = "";
    struct stat stat;
    CHECK(fstat(files[i], &stat) == 0 && stat.st_size == 4);
    CHECK(pread(files[i], text, sizeof text, 0) == 4 && memcmp(text, "mine", 4) == 0);
  }
}

static void close_all(void) { CHECK(syscall(SYS_close_range, 3u, ~0u, 0u) == 0); }

static void daemonize(void) {
  const pid_t child = fork();
  if (child == 0) {
    CHECK(setsid() > 0);
    if (fork() != 0) _exit(0);
    CHECK(chdir("/") == 0);
    close_all();
    for (int i = 0; i < 3; ++i) CHECK(close(i) == 0 && open("/dev/null", O_RDWR) == i);
    events(1, AFTER);
    atomic_store(&notes[2].value, 1);
    exit(0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  while (atomic_load(&notes[2].value) == 0) usleep(1000);
  usleep(100000); /* It ends. */
}

int main(int argc, char **argv) {
  alarm(60);
  if (argc <= 3) return 1;
  const int file = open(argv[1], O_RDWR);
  if (file < 0) return 2;
  notes = mmap(NULL, 3 * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (notes == MAP_FAILED) return 3;
  const char *folder = argv[2], *way = argv[3];
  events(0, BEFORE);
  if (!strcmp(way, "close_range")) close_all();
  if (!strcmp(way, "cwd")) CHECK(mkdir("gone", 0700) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0);
  if (!strcmp(way, "chroot")) CHECK(chroot(folder) == 0 && chdir("/") == 0);
  if (!strcmp(way, "daemon")) daemonize();
  take_descriptors(strcmp(way, "chroot") ? folder : "/");
  events(0, AFTER);
  check_descriptors();
  return 0;
}
