/*
 * The process that a mom forks for each job: leader of a session of its own, it runs the prologue, and then becomes
 * the job. In C because what is played here is exact about descriptors, sessions, groups and masks.
 *
 *   mom-starter KEY=VALUE... -- PROLOGUE ARGS... -- PROLOGUE-ENV... -- JOB-STARTER ARGS...
 *
 * Keys: uid gid groups (a,b,c) limit (ms) priv (mom_priv) home environment (NUL-separated file) line (file with what
 * the job finds on its standard input) pty (1: interactive; standard input and output are the user's terminal).
 * Told on descriptor 3, a line each: "session PID", "prologue PID", "result exit N | signal N | timeout", "job PID".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uid_t uid; static gid_t gid; static gid_t groups[256]; static int group_count;
static long limit_ms = 290000; static int use_pty;
static char *priv = "/", *home = "/", *environment, *line_file;

static void die(const char *what) { fprintf(stderr, "mom-starter: %s: %s\n", what, strerror(errno)); _exit(120); }

static void tell(const char *what, long number) { dprintf(3, "%s %ld\n", what, number); }

static long now_ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000L + t.tv_nsec / 1000000; }

/* SIGKILL to every process of a session, as the mom does when a prologue takes too long. */
static void kill_session(pid_t session) {
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc && (entry = readdir(proc))) {
    char path[300], text[1024]; int pid = atoi(entry->d_name), parent, group, its;
    if (pid <= 1) continue;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY); if (fd < 0) continue;
    ssize_t got = read(fd, text, sizeof text - 1); close(fd);
    if (got <= 0) continue;
    text[got] = 0;
    char *end = strrchr(text, ')'); char state;
    if (end && sscanf(end + 2, "%c %d %d %d", &state, &parent, &group, &its) == 4 && its == session) kill(pid, SIGKILL);
  }
  if (proc) closedir(proc);
}

static int run_prologue(char **args, char **env) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    setsid();
    int leak[2], in = open("/dev/null", O_RDONLY);
    if (pipe(leak) == 0) { int a = fcntl(leak[0], F_DUPFD, 20), b = fcntl(leak[1], F_DUPFD, 20); close(leak[0]); close(leak[1]); dup2(a, 11); dup2(b, 14); close(a); close(b); }
    dup2(in, 0); if (in > 2 && in != 11 && in != 14) close(in);
    close(3);
    if (setgroups((size_t)group_count, groups) || setgid(0)) die("groups");
    umask(077);
    if (chdir(priv)) die(priv);
    signal(SIGPIPE, SIG_DFL);
    execve(args[0], args, env);
    _exit(126);
  }
  tell("prologue", pid);
  long end = now_ms() + limit_ms; int status;
  for (;;) {
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == pid) break;
    if (now_ms() > end) { kill_session(pid); waitpid(pid, &status, 0); dprintf(3, "result timeout 0\n"); return -1; }
    usleep(2000);
  }
  /* Torque takes a prologue that a signal ended for one that said yes. */
  if (WIFSIGNALED(status)) { dprintf(3, "result signal %d\n", WTERMSIG(status)); return 0; }
  dprintf(3, "result exit %d\n", WEXITSTATUS(status));
  return WEXITSTATUS(status);
}

static char **read_environment(void) {
  static char text[4 << 20]; static char *list[65536];
  int fd = open(environment, O_RDONLY); if (fd < 0) die(environment);
  ssize_t size = 0, got;
  while ((got = read(fd, text + size, sizeof text - 1 - (size_t)size)) > 0) size += got;
  close(fd);
  int count = 0;
  for (char *at = text; at < text + size; at += strlen(at) + 1) list[count++] = at;
  list[count] = 0;
  return list;
}

static void become_job(char **args) {
  char **env = read_environment();
  if (!use_pty) {
    int in[2]; if (pipe(in)) die("pipe");
    char text[65536]; int fd = open(line_file, O_RDONLY); if (fd < 0) die(line_file);
    ssize_t got = read(fd, text, sizeof text); close(fd);
    if (got > 0 && write(in[1], text, (size_t)got) != got) die("write");
    close(in[1]); dup2(in[0], 0); close(in[0]);
  }
  close(3);
  if (setgroups((size_t)group_count, groups) || setgid(gid) || setuid(uid)) die("setuid");
  umask(077);
  if (chdir(home) && chdir("/")) die("chdir");
  signal(SIGPIPE, SIG_DFL);
  execve(args[0], args, env);
  die(args[0]);
}

static void starter(char **prologue, char **prologue_env, char **job) {
  tell("session", getpid());
  int code = run_prologue(prologue, prologue_env);
  if (code != 0) _exit(code < 0 ? 119 : code);
  if (!use_pty) { tell("job", getpid()); become_job(job); }
  pid_t pid = fork();
  if (pid == 0) become_job(job);
  tell("job", pid); close(3);
  int status; signal(SIGINT, SIG_IGN); signal(SIGQUIT, SIG_IGN);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) { }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status));
}

/* Carries the user's terminal: what qsub -I does on the other side. */
static void relay(char **prologue, char **prologue_env, char **job) {
  int master; struct winsize size = {25, 80, 0, 0};
  pid_t pid = forkpty(&master, 0, 0, &size);
  if (pid < 0) die("forkpty");
  if (pid == 0) starter(prologue, prologue_env, job);
  close(3);
  struct pollfd files[2] = {{0, POLLIN, 0}, {master, POLLIN, 0}}; char bytes[4096]; ssize_t got;
  for (;;) {
    if (poll(files, 2, -1) < 0) break;
    if (files[1].revents) { got = read(master, bytes, sizeof bytes); if (got <= 0) break; if (write(1, bytes, (size_t)got) < 0) break; }
    if (files[0].revents) { got = read(0, bytes, sizeof bytes); if (got <= 0) files[0].fd = -1; else if (write(master, bytes, (size_t)got) < 0) break; }
  }
  int status; waitpid(pid, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int count, char **args) {
  char **parts[3] = {0}; int part = -1;
  for (int i = 1; i < count; i++) {
    if (strcmp(args[i], "--") == 0 && part < 2) { parts[++part] = &args[i + 1]; args[i] = 0; continue; }
    if (part >= 0) continue;
    char *value = strchr(args[i], '='); if (!value) die("argument"); *value++ = 0;
    if (!strcmp(args[i], "uid")) uid = (uid_t)atol(value);
    else if (!strcmp(args[i], "gid")) gid = (gid_t)atol(value);
    else if (!strcmp(args[i], "groups")) for (char *word = strtok(value, ","); word && group_count < 256; word = strtok(0, ",")) groups[group_count++] = (gid_t)atol(word);
    else if (!strcmp(args[i], "limit")) limit_ms = atol(value);
    else if (!strcmp(args[i], "priv")) priv = value;
    else if (!strcmp(args[i], "home")) home = value;
    else if (!strcmp(args[i], "environment")) environment = value;
    else if (!strcmp(args[i], "line")) line_file = value;
    else if (!strcmp(args[i], "pty")) use_pty = atoi(value);
  }
  if (part != 2) { fprintf(stderr, "mom-starter: three lists are needed\n"); return 120; }
  fcntl(3, F_SETFD, FD_CLOEXEC);
  if (use_pty) relay(parts[0], parts[1], parts[2]);
  if (getsid(0) != getpid()) setsid();
  starter(parts[0], parts[1], parts[2]);
}
