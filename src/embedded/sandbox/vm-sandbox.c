/*
 * One sandboxed "virtual machine": a root file system of its own over the host's, own processes, network, IPC,
 * host name, and an OpenSSH server for each connection.
 *
 *   vm-sandbox layer ROOT         reads lines "opaque PATH" / "whiteout PATH" and makes them below ROOT
 *   vm-sandbox run KEY=VALUE...   runs one machine until its standard input ends
 *
 * `run` has two halves. The keeper stays in the host's namespaces except for a private mount namespace, which
 * holds the machine's files (overlayfs whose upper directory is a tmpfs): nothing of it is visible to the host, and
 * the kernel wipes it when the keeper ends, however it ends. The keeper opens the listening sockets on the host's
 * loopback addresses, because a socket belongs for ever to the network namespace it was made in; it hands them to
 * the init, which is pid 1 of the machine, accepts connections on them and runs `sshd -i` for each.
 *
 * Both die with their parent (PR_SET_PDEATHSIG), so a killed cloud leaves no machine behind.
 *
 * Commands, one on each line of standard input; each is answered on descriptor 3 by "ok" or "error TEXT":
 *   boot HOSTNAME MODE   start the machine. MODE: answer | mute (connections open, nobody answers) | drop (time out)
 *   halt refuse|drop     end every process, keep the files; later connections are refused or time out.
 *                        `drop` also hides the end of open connections from their peers, as a power cut does
 *   freeze, thaw         stop and continue every process
 *   answer, mute, drop   switch how connections are treated; `drop` hangs those that are open, too
 *   fill, unfill         leave no space on the machine's disk, and give it back
 *   listen ADDRESS, unlisten ADDRESS
 * "up PID" and "down" are sent on descriptor 3 whenever the machine's init starts and ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_LISTENERS 8
#define MAX_CONNECTIONS 512
#define REPORT_FD 3

static void die(const char *what) {
  fprintf(stderr, "vm-sandbox: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void report(const char *format, ...) {
  char line[512];
  va_list list;
  va_start(list, format);
  int length = vsnprintf(line, sizeof line - 1, format, list);
  va_end(list);
  if (length < 0) return;
  if (length > (int)sizeof line - 2) length = sizeof line - 2;
  line[length++] = '\n';
  if (write(REPORT_FD, line, (size_t)length) < 0) { /* the cloud is gone: so are we, soon */ }
}

static void make_directory(const char *path, mode_t mode) {
  if (mkdir(path, mode) != 0 && errno != EEXIST) die(path);
  chmod(path, mode);
}

static void die_with_parent(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) die("PR_SET_PDEATHSIG");
  if (parent != 0 && getppid() != parent) exit(1);
}

/* ---- how connections are treated ---- */

/* A packet filter that accepts nothing: on a listening socket it drops SYNs, on a connection every segment. */
static void set_dropping(int socket_fd, int dropping) {
  struct sock_filter none[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  struct sock_fprog program = {1, none};
  int zero = 0;
  if (dropping) setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  else setsockopt(socket_fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero);
}

static int open_listener(const char *address, int port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, address, &name.sin_addr) != 1) { errno = EINVAL; return -1; }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&name, sizeof name) != 0 || listen(fd, 128) != 0) {
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
  }
  return fd;
}

/* ---- messages from keeper to init: one letter, and sometimes a listening socket ---- */

static void send_message(int channel, char letter, int passed_fd) {
  struct iovec part = {&letter, 1};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (passed_fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed_fd, sizeof(int));
  }
  char answer;
  if (sendmsg(channel, &message, MSG_NOSIGNAL) == 1 && recv(channel, &answer, 1, 0) < 0) return;
}

static int receive_message(int channel, char *letter, int *passed_fd) {
  struct iovec part = {letter, 1};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  *passed_fd = -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (got > 0 && header && header->cmsg_type == SCM_RIGHTS) memcpy(passed_fd, CMSG_DATA(header), sizeof(int));
  return got > 0;
}

/* ---- init: pid 1 of the machine ---- */

struct connection { int fd; pid_t pid; };
static struct connection connections[MAX_CONNECTIONS];
static struct { int fd; in_port_t port; in_addr_t address; } listeners[MAX_LISTENERS];
static int listener_count = 0;
static char mode = 'a';

/* Signals every sshd process: a cut network must also hold back what the server would send. */
static void signal_sshd(int signal_number) {
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc && (entry = readdir(proc))) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    char path[64], name[32] = {0};
    snprintf(path, sizeof path, "/proc/%.16s/comm", entry->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    if (read(fd, name, sizeof name - 1) > 0 && strncmp(name, "sshd", 4) == 0)
      kill(atoi(entry->d_name), signal_number);
    close(fd);
  }
  if (proc) closedir(proc);
}

static void set_mode(char wanted) {
  int was_dropping = mode == 'd', dropping = wanted == 'd';
  mode = wanted;
  for (int i = 0; i < listener_count; i++) set_dropping(listeners[i].fd, dropping);
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (connections[i].pid) set_dropping(connections[i].fd, dropping);
  if (dropping && !was_dropping) signal_sshd(SIGSTOP);
  if (!dropping && was_dropping) signal_sshd(SIGCONT);
}

/* In repair mode a socket closes without telling its peer. */
static void forget_connections(void) {
  int on = 1;
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (connections[i].pid) setsockopt(connections[i].fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on);
}

static void serve_connection(int fd) {
  int slot = 0;
  while (slot < MAX_CONNECTIONS && connections[slot].pid) slot++;
  if (slot == MAX_CONNECTIONS) { close(fd); return; }
  pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    dup2(fd, 0);
    dup2(fd, 1);
    int log = open("/var/log/sshd.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0) log = open("/dev/null", O_WRONLY);
    dup2(log, 2);
    close_range(3, ~0U, 0);
    execl("/usr/sbin/sshd", "sshd", "-i", "-e", "-f", "/etc/ssh/sshd_config", (char *)NULL);
    _exit(127);
  }
  if (pid < 0) { close(fd); return; }
  connections[slot] = (struct connection){fd, pid};
}

static void reap(void) {
  pid_t pid;
  while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
    for (int i = 0; i < MAX_CONNECTIONS; i++)
      if (connections[i].pid == pid) {
        close(connections[i].fd);
        connections[i] = (struct connection){0, 0};
      }
}

static void mount_or_die(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
  if (mount(source, target, type, flags, data) != 0) die(target);
}

static void make_device(const char *name, unsigned major_number, unsigned minor_number, mode_t permissions) {
  if (mknod(name, S_IFCHR | permissions, makedev(major_number, minor_number)) != 0) die(name);
  chmod(name, permissions);
}

/* Everything below /dev, /proc and /run is made anew at every boot; paths are relative to the new root. */
static void mount_machine_file_systems(void) {
  mount_or_die("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k");
  make_device("dev/null", 1, 3, 0666);
  make_device("dev/zero", 1, 5, 0666);
  make_device("dev/full", 1, 7, 0666);
  make_device("dev/random", 1, 8, 0666);
  make_device("dev/urandom", 1, 9, 0666);
  make_device("dev/tty", 5, 0, 0666);
  make_directory("dev/pts", 0755);
  make_directory("dev/shm", 01777);
  make_directory("dev/mqueue", 01777);
  mount_or_die("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5");
  mount_or_die("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=128m");
  mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  if (symlink("pts/ptmx", "dev/ptmx") || symlink("/proc/self/fd", "dev/fd") || symlink("/proc/self/fd/0", "dev/stdin") ||
      symlink("/proc/self/fd/1", "dev/stdout") || symlink("/proc/self/fd/2", "dev/stderr"))
    die("links in /dev");
  mount_or_die("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  const char *read_only[] = {"proc/sys", "proc/irq", "proc/bus", "proc/fs", "proc/sysrq-trigger"};
  for (unsigned i = 0; i < sizeof read_only / sizeof *read_only; i++)
    if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) == 0)
      mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  const char *hidden[] = {"proc/kcore", "proc/keys", "proc/timer_list", "proc/kmsg"};
  for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++) mount("dev/null", hidden[i], NULL, MS_BIND, NULL);
  mount_or_die("run", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m");
  make_directory("run/sshd", 0755);
  make_directory("run/lock", 01777);
}

static void bring_loopback_up(void) {
  struct ifreq request = {0};
  strcpy(request.ifr_name, "lo");
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) die("lo");
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) die("lo up");
  close(fd);
}

/* What no guest needs and what would reach the host: kernel modules, raw devices, the clock, the kernel's log. */
static void drop_capabilities(void) {
  const int dropped[] = {CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT,      CAP_SYS_TIME,     CAP_MKNOD,      CAP_SYSLOG,
                         CAP_WAKE_ALARM, CAP_MAC_ADMIN, CAP_MAC_OVERRIDE, CAP_AUDIT_CONTROL, CAP_BLOCK_SUSPEND,
                         CAP_LINUX_IMMUTABLE, 38 /* PERFMON */, 39 /* BPF */};
  for (unsigned i = 0; i < sizeof dropped / sizeof *dropped; i++) prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0);
}

static void run_boot_script(void) {
  if (access("/var/lib/vm-boot/boot", R_OK) != 0 || fork() != 0) return;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  close_range(3, ~0U, 0);
  execl("/bin/bash", "bash", "/var/lib/vm-boot/boot", (char *)NULL);
  _exit(127);
}

/* The keeper's arguments name folders of the host: the guest sees "init" instead. */
static char *arguments_start, *arguments_end;
static void hide_arguments(void) {
  memset(arguments_start, 0, (size_t)(arguments_end - arguments_start));
  strcpy(arguments_start, "init");
  prctl(PR_SET_NAME, "init");
}

static int run_init(const char *hostname, int channel, const char *root) {
  die_with_parent(0);
  if (sethostname(hostname, strlen(hostname)) != 0) die("host name");
  mount_or_die(root, root, NULL, MS_BIND | MS_REC, NULL);
  if (chdir(root) != 0) die(root);
  mount_machine_file_systems();
  if (syscall(SYS_pivot_root, ".", ".") != 0) die("pivot_root");
  if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) die("the old root");
  hide_arguments();
  bring_loopback_up();
  drop_capabilities();
  umask(022);
  clearenv();
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  setenv("LANG", "C.UTF-8", 1);
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  if (null > 2) close(null);

  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  int children = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  send(channel, "+", 1, MSG_NOSIGNAL);
  run_boot_script();
  for (;;) {
    struct pollfd fds[2 + MAX_LISTENERS];
    fds[0] = (struct pollfd){channel, POLLIN, 0};
    fds[1] = (struct pollfd){children, POLLIN, 0};
    int accepting = mode == 'a' ? listener_count : 0;
    for (int i = 0; i < accepting; i++) fds[2 + i] = (struct pollfd){listeners[i].fd, POLLIN, 0};
    if (poll(fds, (nfds_t)(2 + accepting), -1) < 0 && errno != EINTR) return 1;
    if (fds[1].revents) {
      struct signalfd_siginfo info;
      while (read(children, &info, sizeof info) > 0) {}
      reap();
    }
    for (int i = 0; i < accepting; i++)
      if (fds[2 + i].revents & POLLIN) {
        int fd = accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) serve_connection(fd);
      }
    if (fds[0].revents) {
      char letter;
      int passed;
      if (!receive_message(channel, &letter, &passed)) return 0;
      switch (letter) {
        case 'a': case 'm': case 'd': set_mode(letter); break;
        case 'f': kill(-1, SIGSTOP); mode = 'm'; break;
        case 't': kill(-1, SIGCONT); mode = 'a'; break;
        case 'r': forget_connections(); break;
        case 'l':
          if (listener_count < MAX_LISTENERS && passed >= 0) {
            listeners[listener_count++].fd = passed;
            set_dropping(passed, mode == 'd');
          }
          break;
        case 'u': /* all listeners are handed over again after this */
          for (int i = 0; i < listener_count; i++) close(listeners[i].fd);
          listener_count = 0;
          break;
        default: break;
      }
      send(channel, "+", 1, MSG_NOSIGNAL);
    }
  }
}

/* ---- the keeper ---- */

static struct { char address[64]; int fd; } sockets[MAX_LISTENERS];
static int socket_count = 0;
static pid_t init_pid = 0;
static int channel = -1;
static int port = 22;
static char disk[512], root[600];
static char disk_size[32] = "1g";

static const char *start_machine(const char *hostname, char wanted) {
  if (init_pid) return "the machine runs already";
  for (int i = 0; i < socket_count; i++)
    if (sockets[i].fd < 0 && (sockets[i].fd = open_listener(sockets[i].address, port)) < 0) return strerror(errno);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return strerror(errno);
  long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP | SIGCHLD;
  pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
  if (pid < 0) return strerror(errno);
  if (pid == 0) {
    close(pair[0]);
    close(REPORT_FD);
    for (int i = 0; i < socket_count; i++) close(sockets[i].fd);
    _exit(run_init(hostname, pair[1], root));
  }
  close(pair[1]);
  char ready;
  if (recv(pair[0], &ready, 1, 0) != 1) {
    close(pair[0]);
    waitpid(pid, NULL, 0);
    return "the machine's init did not start (see the console log)";
  }
  init_pid = pid;
  channel = pair[0];
  send_message(channel, wanted, -1);
  for (int i = 0; i < socket_count; i++) send_message(channel, 'l', sockets[i].fd);
  report("up %d", pid);
  return NULL;
}

static void forget_machine(void) {
  close(channel);
  channel = -1;
  init_pid = 0;
  report("down");
}

static void halt_machine(int dropping) {
  for (int i = 0; i < socket_count; i++) {
    if (sockets[i].fd < 0) continue;
    set_dropping(sockets[i].fd, dropping);
    if (!dropping) {
      close(sockets[i].fd);
      sockets[i].fd = -1;
    }
  }
  if (!init_pid) return;
  if (dropping) send_message(channel, 'r', -1);
  kill(init_pid, SIGKILL);
  waitpid(init_pid, NULL, 0);
  forget_machine();
}

static const char *set_disk_size(int full) {
  struct statfs usage;
  char options[64];
  if (statfs(disk, &usage) != 0) return strerror(errno);
  if (full) snprintf(options, sizeof options, "size=%lluk", (unsigned long long)(usage.f_blocks - usage.f_bfree) * (unsigned long long)usage.f_bsize / 1024);
  else snprintf(options, sizeof options, "size=%s", disk_size);
  return mount(NULL, disk, NULL, MS_REMOUNT, options) == 0 ? NULL : strerror(errno);
}

static const char *share_listeners(void) {
  if (!init_pid) return NULL;
  send_message(channel, 'u', -1);
  for (int i = 0; i < socket_count; i++) send_message(channel, 'l', sockets[i].fd);
  return NULL;
}

static const char *add_listener(const char *address) {
  if (socket_count == MAX_LISTENERS) return "too many addresses";
  int fd = -1;
  if (init_pid && (fd = open_listener(address, port)) < 0) return strerror(errno);
  snprintf(sockets[socket_count].address, sizeof sockets[0].address, "%s", address);
  sockets[socket_count++].fd = fd;
  return share_listeners();
}

static const char *remove_listener(const char *address) {
  for (int i = 0; i < socket_count; i++)
    if (strcmp(sockets[i].address, address) == 0) {
      if (sockets[i].fd >= 0) close(sockets[i].fd);
      sockets[i] = sockets[--socket_count];
      return share_listeners();
    }
  return NULL;
}

static const char *obey(char *line) {
  char *word = strtok(line, " "), *first = strtok(NULL, " "), *second = strtok(NULL, " ");
  if (!word) return "empty command";
  if (!strcmp(word, "boot")) return first && second ? start_machine(first, second[0]) : "boot needs a name and a mode";
  if (!strcmp(word, "halt")) { halt_machine(first && first[0] == 'd'); return NULL; }
  if (!strcmp(word, "fill")) return set_disk_size(1);
  if (!strcmp(word, "unfill")) return set_disk_size(0);
  if (!strcmp(word, "listen") && first) return add_listener(first);
  if (!strcmp(word, "unlisten") && first) return remove_listener(first);
  if (!strcmp(word, "answer") || !strcmp(word, "mute") || !strcmp(word, "drop") || !strcmp(word, "freeze") || !strcmp(word, "thaw")) {
    if (!init_pid) return "the machine is not running";
    send_message(channel, word[0], -1);
    return NULL;
  }
  return "unknown command";
}

static void copy_tree(const char *from, const char *to) {
  char source[600];
  snprintf(source, sizeof source, "%s/.", from);
  pid_t pid = fork();
  if (pid == 0) {
    execlp("cp", "cp", "-a", source, to, (char *)NULL);
    _exit(127);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) < 0 || status != 0) {
    fprintf(stderr, "vm-sandbox: cannot copy the first files from %s\n", from);
    exit(1);
  }
}

/* Programs that lie on file systems of their own (a separate /usr, say) are not part of the overlay's lower one. */
static void bind_program_mounts(void) {
  FILE *mounts = fopen("/proc/self/mountinfo", "r");
  char line[4096], point[1024], target[1700];
  while (mounts && fgets(line, sizeof line, mounts)) {
    if (sscanf(line, "%*d %*d %*s %*s %1023s", point) != 1) continue;
    if (strncmp(point, "/usr", 4) && strncmp(point, "/lib", 4)) continue;
    snprintf(target, sizeof target, "%s%s", root, point);
    if (mount(point, target, NULL, MS_BIND, NULL) == 0) mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
  }
  if (mounts) fclose(mounts);
}

static int run(int count, char **settings) {
  const char *base = NULL, *directory = NULL, *seed = NULL;
  pid_t parent = getppid();
  for (int i = 0; i < count; i++) {
    char *value = strchr(settings[i], '=');
    if (!value) continue;
    *value++ = 0;
    if (!strcmp(settings[i], "base")) base = value;
    else if (!strcmp(settings[i], "directory")) directory = value;
    else if (!strcmp(settings[i], "seed")) seed = value;
    else if (!strcmp(settings[i], "port")) port = atoi(value);
    else if (!strcmp(settings[i], "disk")) snprintf(disk_size, sizeof disk_size, "%s", value);
    else if (!strcmp(settings[i], "address") && socket_count < MAX_LISTENERS) {
      snprintf(sockets[socket_count].address, sizeof sockets[0].address, "%s", value);
      sockets[socket_count++].fd = -1;
    }
  }
  if (!base || !directory || !seed) { fprintf(stderr, "vm-sandbox: base, directory and seed are needed\n"); return 2; }
  die_with_parent(parent);
  setsid();
  fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
  signal(SIGPIPE, SIG_IGN);

  if (unshare(CLONE_NEWNS) != 0) die("a mount namespace");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die("private mounts");
  snprintf(disk, sizeof disk, "%s/disk", directory);
  make_directory(disk, 0700);
  char option[64], upper[600], work[600], layers[1400];
  snprintf(option, sizeof option, "mode=700,size=%s", disk_size);
  mount_or_die("vm-disk", disk, "tmpfs", MS_NODEV, option);
  snprintf(upper, sizeof upper, "%s/upper", disk);
  snprintf(work, sizeof work, "%s/work", disk);
  snprintf(root, sizeof root, "%s/root", disk);
  make_directory(upper, 0755);
  make_directory(work, 0755);
  make_directory(root, 0755);
  /* Overlayfs refuses a lower layer that lies inside another, so what hides the host is copied to the upper one. */
  copy_tree(base, upper);
  copy_tree(seed, upper);
  snprintf(layers, sizeof layers, "lowerdir=/,upperdir=%s,workdir=%s", upper, work);
  mount_or_die("vm-root", root, "overlay", MS_NODEV, layers);
  bind_program_mounts();
  report("ok");

  char buffer[1024];
  size_t used = 0;
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  int children = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  for (;;) {
    struct pollfd fds[2] = {{0, POLLIN, 0}, {children, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return 1;
    if (fds[1].revents) {
      struct signalfd_siginfo info;
      while (read(children, &info, sizeof info) > 0) {}
      if (init_pid && waitpid(init_pid, NULL, WNOHANG) == init_pid) forget_machine();
    }
    if (!fds[0].revents) continue;
    ssize_t got = read(0, buffer + used, sizeof buffer - 1 - used);
    if (got <= 0) break;
    used += (size_t)got;
    buffer[used] = 0;
    char *end;
    while ((end = strchr(buffer, '\n'))) {
      *end = 0;
      const char *problem = obey(buffer);
      if (problem) report("error %s", problem);
      else report("ok");
      used -= (size_t)(end + 1 - buffer);
      memmove(buffer, end + 1, used + 1);
    }
    if (used == sizeof buffer - 1) break;
  }
  halt_machine(0);
  return 0;
}

/* ---- the layer of files between the host's and the machines' ---- */

static int make_layer(const char *layer) {
  char line[4096], path[8192];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *name = strchr(line, ' ');
    if (!name) continue;
    *name++ = 0;
    snprintf(path, sizeof path, "%s%s", layer, name);
    if (!strcmp(line, "opaque")) {
      if (setxattr(path, "trusted.overlay.opaque", "y", 1, 0) != 0) die(path);
    } else if (mknod(path, S_IFCHR, makedev(0, 0)) != 0 && errno != EEXIST) {
      die(path);
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  arguments_start = argv[0];
  arguments_end = argv[argc - 1] + strlen(argv[argc - 1]);
  if (argc == 3 && !strcmp(argv[1], "layer")) return make_layer(argv[2]);
  if (argc > 2 && !strcmp(argv[1], "run")) return run(argc - 2, argv + 2);
  fprintf(stderr, "usage: vm-sandbox layer ROOT | vm-sandbox run KEY=VALUE...\n");
  return 2;
}
