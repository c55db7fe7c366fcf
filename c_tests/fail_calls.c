/*
 * Preloaded beside what is tested, makes the calls of one object to the kernel's functions fail: of a library, or of the
 * program itself. It knows whose call it is by its return address, so what is tested is what is shipped, and the calls of
 * everybody else go through. WHOFREED_FAIL="OBJECT FUNCTION PLACE FIRST LAST ERRNO" says which calls: of this function, at
 * this place of the object (0: at any), counted from 1 in each process. With WHOFREED_FAIL="OBJECT count" none fails.
 * WHOFREED_FAIL_LOG is a file for a line of each call that failed, or, where they are counted, of every one: the function,
 * and the place that it was called at.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
  char object[64], function[32];
  unsigned long place;
  long first, last;
  int error, counts;
  const char *log;
  uintptr_t base, start, end;
} plan;
static int is_ready;
static long calls;

static int look_at(struct dl_phdr_info *object, size_t size, void *unused) {
  (void)size, (void)unused;
  const char *name = object->dlpi_name;
  const char *slash = strrchr(name, '/');
  const char *own = *name ? (slash ? slash + 1 : name) : program_invocation_short_name;
  if (strcmp(own, plan.object) != 0) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &object->dlpi_phdr[i];
    if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
      plan.base = object->dlpi_addr;
      plan.start = plan.base + header->p_vaddr;
      plan.end = plan.start + header->p_memsz;
    }
  }
  return 1;
}

/* Runs before everybody: the constructor of a preloaded library may come later than the first call. */
static void prepare(void) {
  if (is_ready) return;
  is_ready = 1;
  const char *wanted = getenv("WHOFREED_FAIL");
  if (!wanted || !program_invocation_short_name) return;
  plan.log = getenv("WHOFREED_FAIL_LOG");
  const int read = sscanf(wanted, "%63s %31s %lx %ld %ld %d", plan.object, plan.function, &plan.place, &plan.first,
                          &plan.last, &plan.error);
  plan.counts = read == 2 && strcmp(plan.function, "count") == 0;
  dl_iterate_phdr(look_at, NULL);
}

__attribute__((constructor)) static void start(void) { prepare(); }

static void note(const char *function, uintptr_t place) {
  if (!plan.log) return;
  char line[96];
  const int length = snprintf(line, sizeof line, "%s %lx\n", function, (unsigned long)(place - plan.base));
  const long file = syscall(SYS_openat, AT_FDCWD, plan.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  syscall(SYS_write, file, line, (size_t)length);
  syscall(SYS_close, file);
}

/* The error with which this call is to fail; 0: it is not. errno stays as it was. */
static int fails(const char *function, void *return_address) {
  prepare();
  const uintptr_t place = (uintptr_t)return_address;
  if (place < plan.start || place >= plan.end) return 0;
  const int before = errno;
  int error = 0;
  if (plan.counts) {
    note(function, place);
  } else if (strcmp(function, plan.function) == 0 && (plan.place == 0 || plan.place == place - plan.base)) {
    const long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (call >= plan.first && call <= plan.last) {
      note(function, place);
      error = plan.error;
    }
  }
  errno = before;
  return error;
}

static void *real(void **kept, const char *name) {
  void *found = __atomic_load_n(kept, __ATOMIC_RELAXED);
  if (!found) {
    found = dlsym(RTLD_NEXT, name);
    __atomic_store_n(kept, found, __ATOMIC_RELAXED);
  }
  return found;
}

#define FAIL(name, failed)                                       \
  do {                                                           \
    const int error_ = fails(#name, __builtin_return_address(0)); \
    if (error_) {                                                \
      errno = error_;                                            \
      return failed;                                             \
    }                                                            \
  } while (0)

/* A function that says -1 and errno, or what it likes. */
#define FUNCTION(result, name, types, names, failed)     \
  result name types;                                     \
  result name types {                                    \
    static void *kept;                                   \
    result(*function) types;                             \
    FAIL(name, failed);                                  \
    *(void **)&function = real(&kept, #name);            \
    return function names;                               \
  }

FUNCTION(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size), -1)
FUNCTION(ssize_t, pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at), -1)
FUNCTION(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size), -1)
FUNCTION(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at), -1)
FUNCTION(ssize_t, writev, (int fd, const struct iovec *from, int count), (fd, from, count), -1)
FUNCTION(off64_t, lseek64, (int fd, off64_t at, int whence), (fd, at, whence), -1)
FUNCTION(int, fstat, (int fd, struct stat *to), (fd, to), -1)
FUNCTION(int, fstat64, (int fd, struct stat64 *to), (fd, to), -1)
FUNCTION(int, stat64, (const char *path, struct stat64 *to), (path, to), -1)
FUNCTION(int, lstat64, (const char *path, struct stat64 *to), (path, to), -1)
FUNCTION(int, fstatat64, (int fd, const char *path, struct stat64 *to, int flags), (fd, path, to, flags), -1)
FUNCTION(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *to), (fd, path, flags, mask, to), -1)
FUNCTION(int, statvfs, (const char *path, struct statvfs *to), (path, to), -1)
FUNCTION(int, ftruncate, (int fd, off_t size), (fd, size), -1)
FUNCTION(int, ftruncate64, (int fd, off64_t size), (fd, size), -1)
FUNCTION(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), -1)
FUNCTION(void *, mmap, (void *at, size_t size, int access, int flags, int fd, off_t from),
         (at, size, access, flags, fd, from), MAP_FAILED)
FUNCTION(void *, mmap64, (void *at, size_t size, int access, int flags, int fd, off64_t from),
         (at, size, access, flags, fd, from), MAP_FAILED)
FUNCTION(int, mprotect, (void *at, size_t size, int access), (at, size, access), -1)
FUNCTION(int, madvise, (void *at, size_t size, int advice), (at, size, advice), -1)
FUNCTION(int, mincore, (void *at, size_t size, unsigned char *to), (at, size, to), -1)
FUNCTION(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
FUNCTION(int, fsync, (int fd), (fd), -1)
FUNCTION(int, unlink, (const char *path), (path), -1)
FUNCTION(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1)
FUNCTION(int, linkat, (int from, const char *path, int to, const char *name, int flags), (from, path, to, name, flags), -1)
FUNCTION(int, rename, (const char *from, const char *to), (from, to), -1)
FUNCTION(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
FUNCTION(char *, mkdtemp, (char *path), (path), NULL)
FUNCTION(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size), -1)
FUNCTION(char *, realpath, (const char *path, char *to), (path, to), NULL)
FUNCTION(char *, getcwd, (char *to, size_t size), (to, size), NULL)
FUNCTION(DIR *, opendir, (const char *path), (path), NULL)
FUNCTION(DIR *, fdopendir, (int fd), (fd), NULL)
FUNCTION(struct dirent64 *, readdir64, (DIR *folder), (folder), NULL)
FUNCTION(int, futimens, (int fd, const struct timespec times[2]), (fd, times), -1)
FUNCTION(ssize_t, getrandom, (void *to, size_t size, unsigned flags), (to, size, flags), -1)
FUNCTION(int, poll, (struct pollfd *files, nfds_t count, int patience), (files, count, patience), -1)
FUNCTION(int, access, (const char *path, int mode), (path, mode), -1)
FUNCTION(int, waitid, (idtype_t type, id_t id, siginfo_t *to, int flags), (type, id, to, flags), -1)

/* These say their error. */
#define ERROR_OF(name)                                            \
  do {                                                            \
    const int error_ = fails(#name, __builtin_return_address(0)); \
    if (error_) return error_;                                    \
  } while (0)

int posix_fallocate(int fd, off_t at, off_t size) {
  static void *kept;
  int (*function)(int, off_t, off_t);
  ERROR_OF(posix_fallocate);
  *(void **)&function = real(&kept, "posix_fallocate");
  return function(fd, at, size);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  static void *kept;
  int (*function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  ERROR_OF(pthread_create);
  *(void **)&function = real(&kept, "pthread_create");
  return function(thread, attributes, body, argument);
}

int pthread_key_create(pthread_key_t *key, void (*end)(void *)) {
  static void *kept;
  int (*function)(pthread_key_t *, void (*)(void *));
  ERROR_OF(pthread_key_create);
  *(void **)&function = real(&kept, "pthread_key_create");
  return function(key, end);
}

/* The file is closed all the same, as on Linux. */
int close(int fd) {
  const int error = fails("close", __builtin_return_address(0));
  const long result = syscall(SYS_close, fd);
  if (!error) return (int)result;
  errno = error;
  return -1;
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPEN(name)                                                       \
  int name(const char *path, int flags, ...) {                           \
    va_list rest;                                                        \
    va_start(rest, flags);                                               \
    const mode_t mode = mode_of(flags, rest);                            \
    va_end(rest);                                                        \
    FAIL(name, -1);                                                      \
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);        \
  }
OPEN(open)
OPEN(open64)

int openat64(int folder, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  FAIL(openat64, -1);
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  const long argument = va_arg(rest, long);
  va_end(rest);
  FAIL(fcntl, -1);
  return (int)syscall(SYS_fcntl, fd, command, argument);
}

int prctl(int option, ...);
int prctl(int option, ...) {
  va_list rest;
  va_start(rest, option);
  unsigned long words[4];
  for (int i = 0; i < 4; i++) words[i] = va_arg(rest, unsigned long);
  va_end(rest);
  FAIL(prctl, -1);
  return (int)syscall(SYS_prctl, option, words[0], words[1], words[2], words[3]);
}
