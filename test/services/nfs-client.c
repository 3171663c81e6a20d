/*
 * An NFS client that keeps its mount: nfs-client URL. Reads orders, one a line: `read PATH`, `write PATH TEXT`, and
 * answers `ok [TEXT]` or `error WHY`. The first line tells of the mount.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
/* Wants what is above. */
#include <nfsc/libnfs.h>

static struct nfs_context *nfs;

static void fail(void) {
  printf("error %s\n", nfs_get_error(nfs));
}

static void read_file(const char *path) {
  struct nfsfh *file;
  char text[4096];
  if (nfs_open(nfs, path, O_RDONLY, &file)) return fail();
  int length = nfs_pread(nfs, file, 0, sizeof text - 1, text);
  if (length < 0) fail();
  else printf("ok %.*s\n", length, text);
  nfs_close(nfs, file);
}

static void write_file(const char *path, const char *text) {
  struct nfsfh *file;
  if (nfs_create(nfs, path, O_WRONLY | O_CREAT, 0644, &file)) return fail();
  if (nfs_pwrite(nfs, file, 0, strlen(text), text) < 0) fail();
  else printf("ok\n");
  nfs_close(nfs, file);
}

int main(int argc, char **argv) {
  char line[4096];
  if (argc != 2) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  nfs = nfs_init_context();
  nfs_set_timeout(nfs, 20000);
  struct nfs_url *url = nfs_parse_url_dir(nfs, argv[1]);
  if (!url || nfs_mount(nfs, url->server, url->path)) {
    fail();
    return 1;
  }
  printf("ok\n");
  while (fgets(line, sizeof line, stdin)) {
    char *order = strtok(line, " \n"), *path = strtok(NULL, " \n"), *text = strtok(NULL, "\n");
    if (order && path && !strcmp(order, "read")) read_file(path);
    else if (order && path && text && !strcmp(order, "write")) write_file(path, text);
    else printf("error what?\n");
  }
  return 0;
}
