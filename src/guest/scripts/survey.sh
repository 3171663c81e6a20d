# Describes this machine: processes, mounts, sockets, IPC, accounts, every file that could outlive a job. It takes the
# baseline and verifies the scrub, and shares no code with it. Reads only.
# Standard input, each field ended by NUL: the expected hash of the tree of files ("-": send the tree), then paths
# whose entries are always sent (they may change within rules), then "--", then files to be hashed.
# Answers one gzip stream of records, each ended by NUL, its fields separated by tabs; the last one is "end".
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mapfile -d '' -t field
expected=${field[0]}
loose=() hashed=()
for ((i = 1; i < ${#field[@]}; i++)); do
  [ "${field[i]}" = -- ] && break
  loose+=("${field[i]}")
done
hashed=("${field[@]:i+1}")

work=$(mktemp -d /run/vmpool-survey.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT

processes() {
  find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*/exe' -printf 'exe\t%h\t%l\0' 2>/dev/null
  local pid line uids login argv
  for pid in /proc/[0-9]*; do
    line= uids= login= argv=()
    IFS= read -r -d '' line <"$pid/stat"
    [ -n "$line" ] || continue
    # To its end: what bash has read ahead of the file of a process that ends would be the beginning of the next file.
    IFS= read -r -d '' uids <"$pid/status"
    uids=${uids#*$'\n'Uid:$'\t'}
    uids=${uids%%$'\n'*}
    uids=${uids//$'\t'/,}
    read -r login <"$pid/loginuid"
    mapfile -d '' -t argv <"$pid/cmdline"
    printf 'proc\t%s\t%s\t%s\t%s\t%s\0' "${pid#/proc/}" "$uids" "$login" "${line##*) }" "${argv[*]}"
  done 2>/dev/null
}
mounts() {
  local point options rest
  while read -r _ _ _ _ point options rest; do
    rest=${rest#*- }
    printf 'mount\t%s\t%s\0' "${rest%% *}" "$point"
  done </proc/self/mountinfo
}
sockets() {
  local protocol address remote state uid
  for protocol in tcp tcp6 udp udp6; do
    while read -r _ address remote state _ _ _ uid _; do
      printf 'socket\t%s\t%s\t%s\t%s\t%s\0' "$protocol" "$address" "$remote" "$state" "$uid"
    done <"/proc/net/$protocol"
  done 2>/dev/null
}
ipc() {
  local kind line
  for kind in shm sem msg; do
    while IFS= read -r line; do printf 'ipc\t%s\t%s\0' "$kind" "$line"; done <"/proc/sysvipc/$kind"
  done 2>/dev/null
  [ -d /dev/mqueue ] && find /dev/mqueue -mindepth 1 -printf 'mqueue\t%U\t%p\0' 2>/dev/null
}
firewall() {
  local rules=
  if command -v nft >/dev/null; then rules=$(nft -s list ruleset 2>/dev/null); fi
  if command -v iptables-save >/dev/null; then
    rules="$rules$( (iptables-save; ip6tables-save) 2>/dev/null | sed -e '/^#/d' -e 's/\[[0-9]*:[0-9]*\]//g')"
  fi
  printf 'firewall\t%s\0' "$(printf '%s' "$rules" | sha256sum)"
}
contents() {
  local file
  for file in "${hashed[@]}"; do
    [ -f "$file" ] && printf '%s\0' "$file"
  done | xargs -0 -r sha256sum -z -- 2>/dev/null | while IFS= read -r -d '' line; do
    printf 'content\t%s\t%s\0' "${line%% *}" "${line#* ?}"
  done
}
space() {
  df -Pk "${places[@]}" 2>/dev/null | { read -r _; while read -r _ _ _ free _ point; do printf 'free\t%s\t%s\0' "$free" "$point"; done; }
}

# Fields of an entry: type, mode, uid, gid, size, mtime, ctime, path//target. Directories and special files carry no
# times: they change whenever something comes and goes. ctime cannot be set back without changing the clock.
full='%y\t%m\t%U\t%G\t%s\t%T@\t%C@\t%p//%l\0'
short='%y\t%m\t%U\t%G\t-\t-\t-\t%p//%l\0'
places=()
while read -r _ _ _ _ point options rest; do
  rest=${rest#*- }
  case ${rest%% *} in
    ext[234] | xfs | btrfs | overlay | tmpfs | ramfs | f2fs | jfs | zfs | bcachefs | reiserfs | vfat | exfat | devtmpfs) ;;
    *) continue ;;
  esac
  [[ ,$options, == *,ro,* ]] && continue
  case $point in /usr | /opt | /boot) continue ;; esac # surveyed anyway
  printf -v point '%b' "${point//\\/\\0}"
  places+=("$point")
done </proc/self/mountinfo

# The administrator's own session is at work there while this runs; nobody else can be.
skip=(-path "$work" -o -path /run/vmpool.lock -o -path "/run/user/${SUDO_UID:-0}")
rules=(-false)
for path in "${loose[@]}"; do rules+=(-o -path "$path" -o -path "$path/*"); done
# Most files are below these, where nothing may change: they are spared the comparison with every rule.
programs=()
for path in /usr /opt /boot; do [ -d "$path" ] && [ ! -L "$path" ] && programs+=("$path"); done
strict=(\( -type f -printf "strict\t$full" -o -printf "strict\t$short" \))
lax=(\( -type f -fprintf "$work/loose" "loose\t$full" -o -fprintf "$work/loose" "loose\t$short" \))
: >"$work/programs"
[ "${#programs[@]}" = 0 ] || find "${programs[@]}" -xdev "${strict[@]}" >"$work/programs" 2>/dev/null &
find "${places[@]}" -xdev -mindepth 1 \( \( "${skip[@]}" -o -path /usr -o -path /opt -o -path /boot \) -prune \) -o \
  \( "${rules[@]}" \) "${lax[@]}" -o "${strict[@]}" >"$work/rest" 2>/dev/null
wait
tree() { sort -zu "$work/programs" "$work/rest"; }

{
  read -r boot </proc/sys/kernel/random/boot_id
  printf 'boot\t%s\0self\t%s\0' "$boot" "$$"
  processes
  mounts
  sockets
  ipc
  firewall
  contents
  space
  cat "$work/loose"
  if [ "$expected" = - ]; then
    # Sent while its hash is taken.
    mkfifo "$work/copy"
    sha256sum <"$work/copy" >"$work/hash" &
    tree | tee "$work/copy"
    wait
    hash=$(cat "$work/hash")
  else
    hash=$(tree | tee "$work/tree" | sha256sum)
    [ "${hash%% *}" = "$expected" ] || cat "$work/tree"
  fi
  printf 'tree\t%s\0end\0' "${hash%% *}"
} | gzip -1
