/*
 * Preloaded into the service alone: moves its wall clock by as many milliseconds as the file named in
 * VMPOOL_CHAOS_CLOCK holds (a 64-bit number, read through a shared mapping, so that a change counts at once). The
 * monotonic clock, timers and the machine's own clock stay as they are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_ms;

__attribute__((constructor)) static void map_offset(void) {
  const char *path = getenv("VMPOOL_CHAOS_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *at = mmap(0, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) offset_ms = at;
}

static void real(clockid_t clock, struct timespec *t) { syscall(SYS_clock_gettime, clock, t); }

static void moved(clockid_t clock, struct timespec *t) {
  real(clock, t);
  int64_t ms = offset_ms ? *offset_ms : 0, ns = t->tv_nsec + (ms % 1000) * 1000000;
  t->tv_sec += ms / 1000;
  if (ns >= 1000000000) { ns -= 1000000000; t->tv_sec++; }
  if (ns < 0) { ns += 1000000000; t->tv_sec--; }
  t->tv_nsec = ns;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) { moved(clock, t); return 0; }
  return (int)syscall(SYS_clock_gettime, clock, t);
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
  (void)zone;
  struct timespec t;
  moved(CLOCK_REALTIME, &t);
  tv->tv_sec = t.tv_sec;
  tv->tv_usec = t.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec t;
  moved(CLOCK_REALTIME_COARSE, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}
