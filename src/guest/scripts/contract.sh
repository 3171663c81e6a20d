# Prints, one on each line, what the guest image's contract asks for and this machine lacks.
# $1: free space wanted on / and /tmp, in KiB.
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
missing() { printf 'missing %s\n' "$*"; }

[ "$(id -u)" = 0 ] || missing "root: the admin account is not root and has no sudo without password and tty"
[ "${BASH_VERSINFO[0]}${BASH_VERSINFO[1]}" -ge 44 ] || missing "bash 4.4 or newer (this is $BASH_VERSION)"
for tool in sh useradd usermod userdel groupadd groupdel gpasswd getent id find stat tar gzip sort sha256sum cp mv rm \
  mkdir chmod chown df umount ipcrm flock setpriv setsid mkfifo; do
  command -v "$tool" >/dev/null || missing "$tool"
done
find / -maxdepth 0 -printf '%C@' >/dev/null 2>&1 || missing "find with -printf (GNU findutils)"
printf 'a\0' | sort -z >/dev/null 2>&1 || missing "sort with -z (GNU coreutils)"
[ -r /proc/self/mountinfo ] || missing "/proc"
[ -d /etc/skel ] || missing "/etc/skel"

sshd=$(command -v sshd || true)
if [ -z "$sshd" ]; then
  missing "sshd"
elif ! answer=$("$sshd" -T -C user=nobody,host=localhost,addr=127.0.0.1 2>&1); then
  missing "sshd with a valid configuration (${answer%%$'\n'*})"
elif ! grep -qi '^authorizedkeysfile ' <<<"$answer"; then
  missing "sshd with AuthorizedKeysFile"
elif ! grep -qi '^pubkeyauthentication yes' <<<"$answer"; then
  missing "sshd with PubkeyAuthentication yes"
fi

if (umask 077 && : >/etc/.vmpool-try) 2>/dev/null; then rm -f /etc/.vmpool-try; else missing "a writable /etc"; fi
for place in / /tmp; do
  free=$(df -Pk "$place" 2>/dev/null | { read -r _; read -r _ _ _ free _; echo "${free:-0}"; })
  [ "${free:-0}" -ge "$1" ] || missing "free space on $place: $((free / 1024)) MiB of $(($1 / 1024)) MiB"
done
printf 'clock %s\n' "$(date +%s)"
printf 'end\n'
