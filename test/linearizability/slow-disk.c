/* A disk that is slow on demand: loaded into a process (LD_PRELOAD), it delays every flush by the microseconds that stand
 * in the shared file SLOW_DISK_FILE, which may change at any time, and counts the flushes that it delayed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct shared {
  _Atomic uint32_t delay_us;
  _Atomic uint32_t delayed;
};

static struct shared *shared;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SLOW_DISK_FILE");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) shared = at;
}

static void delay(void) {
  uint32_t us = shared == NULL ? 0 : atomic_load(&shared->delay_us);
  if (us == 0) return;
  atomic_fetch_add(&shared->delayed, 1);
  struct timespec left = {us / 1000000, (us % 1000000) * 1000L};
  /* The system call itself: nothing that fakes time may shorten it. */
  while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) != 0 && errno == EINTR) {
  }
}

typedef int flush(int);

int fsync(int fd) {
  static flush *real;
  if (real == NULL) real = (flush *)dlsym(RTLD_NEXT, "fsync");
  delay();
  return real(fd);
}

int fdatasync(int fd) {
  static flush *real;
  if (real == NULL) real = (flush *)dlsym(RTLD_NEXT, "fdatasync");
  delay();
  return real(fd);
}
