/*
 * A machine that can be suspended: the monotonic clock of a process stands still for the time that a file tells,
 * in nanoseconds, and its boot time goes on. That is what Linux does while a machine sleeps.
 *
 * Loaded before the C library (LD_PRELOAD), with the file in SUSPENDED_FOR. What reads the clock past that library,
 * as slackwater does with its boot time, is not deceived, and need not be.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t, struct timespec *);
static const volatile int64_t *suspended_for;

__attribute__((constructor)) static void load(void) {
  real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("SUSPENDED_FOR");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0)
    abort();
  void *at = mmap(NULL, sizeof *suspended_for, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (at == MAP_FAILED)
    abort();
  suspended_for = at;
}

int clock_gettime(clockid_t clock, struct timespec *to) {
  if (!real)
    load();
  int failed = real(clock, to);
  if (failed || clock != CLOCK_MONOTONIC)
    return failed;
  int64_t at = to->tv_sec * INT64_C(1000000000) + to->tv_nsec - *suspended_for;
  to->tv_sec = at / INT64_C(1000000000);
  to->tv_nsec = at % INT64_C(1000000000);
  return 0;
}
