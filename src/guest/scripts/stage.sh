# Prepares this machine for one lease. Safe to be cut anywhere and repeated; another lease's marker is never touched.
# Argument: the order's number; one below that of the last order is refused.
# Standard input, each field ended by NUL: lease, name, uid, gid, home, shell, job's TMPDIR, lowest uid, lowest gid,
# public key, environment file, marker, limits of the job (as meter.sh takes them, blanks between), the number of mounts'
# fields and these (mounts.sh), then name and gid of every group.
# Answers one line: ok | refused WHY | foreign LEASE | stale NUMBER | failed WHY
set -u
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Whatever the tools print is not the answer.
exec 3>&1 >/dev/null
making=
answer() { # one line, whatever the reason holds
  local text=$*
  # Nothing of this order goes on behind its answer.
  [ -z "$making" ] || IFS= read -r -d '' _ <&5
  printf '%s\n' "${text//$'\n'/ }" >&3
  exit 0
}
failed() { answer failed "$@"; }

mapfile -d '' -t field
[ "${#field[@]}" -ge 16 ] || failed "the order was cut"
lease=${field[0]} name=${field[1]} uid=${field[2]} gid=${field[3]} home=${field[4]} shell=${field[5]} tmpdir=${field[6]}
uid_min=${field[7]} gid_min=${field[8]} key=${field[9]} environment=${field[10]} marker=${field[11]}
limits=(${field[12]}) shared=("${field[@]:14:field[13]}") groups=("${field[@]:14+field[13]}")
pool=/etc/vmpool

# Root's alone: whoever may open it may lock it. (Few programs are started, here and below: each costs a millisecond or
# two, and a job waits.)
umask 077
exec 9>>/run/vmpool.lock && flock -w 20 9 ||
  failed "another order is still being carried out on this machine"
umask 022
# An order that was held up on its way, by a network or a service that was killed, must not undo a later one.
last=
IFS= read -r last </run/vmpool.lock
[[ $last =~ ^[0-9]{1,16}$ ]] || last=0
[ "$1" -ge "$last" ] || answer stale "$last"
[ -d "$pool/keys" ] || failed "$pool/keys is missing: the machine was never made ready"

# --- whose is the machine?
if [ -e "$pool/lease.json" ] || [ -L "$pool/lease.json" ]; then
  standing=
  IFS= read -r standing <"$pool/lease.json" || true
  if [[ $standing != '{"lease":"'"$lease"'",'* ]]; then
    [[ $standing =~ ^\{\"lease\":\"([A-Za-z0-9._-]{1,128})\" ]] && answer foreign "${BASH_REMATCH[1]}"
    answer foreign unreadable
  fi
fi
printf '%s\n' "$1" >/run/vmpool.lock

# --- can the order be met? Nothing is changed before this is known.
[ "$uid" -ge "$uid_min" ] || answer refused "uid $uid of $name is below $uid_min"
keys=()
for ((i = 0; i < ${#groups[@]}; i += 2)); do keys+=("${groups[i]}" "${groups[i + 1]}"); done
exec 4< <(getent group "${keys[@]}")
account=
while IFS=: read -r found _ found_uid found_gid _; do
  if [ "$found" = "$name" ]; then
    [ "$found_uid" = "$uid" ] || answer refused "$name has uid $found_uid on the VM, not $uid"
    [ "$found_gid" = "$gid" ] || answer refused "$name has gid $found_gid on the VM, not $gid"
    account=$name
  elif [ "$found_uid" = "$uid" ]; then
    answer refused "uid $uid of $name is held by $found on the VM"
  fi
done < <(getent passwd "$name" "$uid")

declare -A gid_of=() name_of=()
while IFS=: read -r found _ found_gid _; do
  gid_of[$found]=$found_gid
  name_of[$found_gid]=$found
done <&4
exec 4<&-
new_groups=() supplementary=()
for ((i = 0; i < ${#groups[@]}; i += 2)); do
  group=${groups[i]} id=${groups[i + 1]}
  [ "$id" -ge "$gid_min" ] || answer refused "gid $id of group $group is below $gid_min"
  if [ "${gid_of[$group]:-$id}" != "$id" ]; then
    answer refused "group $group has gid ${gid_of[$group]} on the VM, not $id"
  fi
  if [ "${name_of[$id]:-$group}" != "$group" ]; then
    answer refused "gid $id of group $group is held by ${name_of[$id]} on the VM"
  fi
  [ -n "${gid_of[$group]:-}" ] || new_groups+=("$group" "$id")
  [ "$id" = "$gid" ] || supplementary+=("$group")
done
[ -x "$shell" ] || answer refused "the login shell $shell of $name is not on the VM"

check_home() {
  # The file system that holds the home, by the longest mount point above it.
  local point rest owner best=-1
  home_type=
  while read -r _ _ _ _ point _ rest; do
    printf -v point '%b' "${point//\\/\\0}"
    if [ "$point" = / ] || [ "$home" = "$point" ] || [[ $home == "$point"/* ]]; then
      if [ "${#point}" -ge "$best" ]; then best=${#point} home_type=${rest#*- } home_type=${home_type%% *}; fi
    fi
  done </proc/self/mountinfo
  case $home_type in
    ext[234] | xfs | btrfs | overlay | tmpfs | ramfs | f2fs | jfs | zfs | bcachefs | reiserfs) home_local=1 ;;
    *) home_local=0 ;;
  esac
  if [ -d "$home" ]; then
    owner=$(stat -c %u "$home")
    if [ "$home_local" = 1 ] && [ "$owner" != "$uid" ] && ! grep -qxF "home $home" "$pool/made" 2>/dev/null; then
      answer refused "the home $home of $name belongs to uid $owner on the VM"
    fi
  elif [ -e "$home" ] || [ -L "$home" ]; then
    answer refused "the home $home of $name is not a directory on the VM"
  elif [ "$home_local" = 0 ]; then
    answer refused "the home $home of $name does not exist on the shared file system ($home_type)"
  fi
}
# A home may be on what is yet to be mounted.
[ "${#shared[@]}" != 0 ] || check_home

# --- the marker first, then a journal of what is made, each line before the thing itself.
if [ ! -e "$pool/made" ] || [ ! -e "$pool/lease.json" ]; then
  [ ! -e "$pool/ready" ] || rm -f "$pool/ready"
  printf '%s\n' "$environment" >"$pool/new/environment" || failed "cannot write $pool/environment"
  # For root's eyes only: it names the job and its owner, and bears the service's seal.
  umask 077
  printf '%s\n' "$marker" >"$pool/new/lease.json" && printf 'job %s\n' "$name $uid $gid" >"$pool/new/made" &&
    mv -f -t "$pool" "$pool/new/lease.json" "$pool/new/made" "$pool/new/environment" ||
    failed "cannot write the marker"
  umask 022
fi
mapfile -t made <"$pool/made"
note() {
  local line
  for line in "${made[@]}"; do [ "$line" = "$*" ] && return; done
  made+=("$*")
  printf '%s\n' "$*" >>"$pool/made" || failed "cannot write $pool/made"
}

if [ "${#shared[@]}" != 0 ]; then
  # Once ready, the job may be running: what is mounted then is its own affair.
  [ -e "$pool/ready" ] || mount_shared note
  check_home
fi

# --- home and TMPDIR, while the account is made: its numbers are all they need of it
parents=() directories=() given=() fill=
if [ ! -d "$home" ]; then
  parent=${home%/*}
  while [ -n "$parent" ] && [ ! -d "$parent" ]; do parents=("$parent" "${parents[@]}") parent=${parent%/*}; done
  for parent in "${parents[@]}"; do note dir "$parent"; done
  note home "$home"
  directories+=("$home")
fi
# Once ready, the job may be running: its home and TMPDIR are its own, and nothing in them is followed or changed.
if [ ! -e "$pool/ready" ]; then
  note tmp "$tmpdir"
  directories+=("$tmpdir")
  for line in "${made[@]}"; do [ "$line" = "home $home" ] && fill=1; done
elif mkdir -m 700 "$tmpdir" 2>/dev/null; then
  given+=("$tmpdir")
fi
given+=("${directories[@]}")
[ -z "$fill" ] || [ "${directories[0]}" = "$home" ] || given+=("$home")
make_directories() {
  local parent
  for parent in "${parents[@]}"; do mkdir -m 755 "$parent" || return; done
  if [ ! -e "$pool/ready" ] && { [ -e "$tmpdir" ] || [ -L "$tmpdir" ]; }; then
    rm -rf --one-file-system -- "$tmpdir" || return
  fi
  [ "${#directories[@]}" = 0 ] || mkdir -m 700 "${directories[@]}" || return
  [ -z "$fill" ] || [ ! -d /etc/skel ] || cp -rT /etc/skel "$home" || return
  [ "${#given[@]}" = 0 ] || chown -RhP "$uid:$gid" "${given[@]}"
}
# What its programs say is no failure by itself, and silence is no success.
exec 5< <(make_directories 2>&1 && printf '\1')
making=1

for ((i = 0; i < ${#new_groups[@]}; i += 2)); do
  note group "${new_groups[i]}"
  problem=$(groupadd -g "${new_groups[i + 1]}" "${new_groups[i]}" 2>&1) || failed "groupadd ${new_groups[i]}: $problem"
done
if [ -z "$account" ]; then
  note user "$name"
  list=$(IFS=, && echo "${supplementary[*]}")
  # '*' is no password at all; '!' would make sshd refuse the key as well where PAM is off.
  problem=$(useradd -M -N -u "$uid" -g "$gid" ${list:+-G "$list"} -d "$home" -s "$shell" -c '' -p '*' "$name" 2>&1) ||
    failed "useradd $name: ${problem//$'\n'/ }"
else
  member=" $(id -Gn "$name") "
  for group in "${supplementary[@]}"; do
    [[ $member == *" $group "* ]] && continue
    note member "$group"
    problem=$(gpasswd -a "$name" "$group" 2>&1) ||
      answer refused "$name is not in group $group on the VM, and cannot be added: ${problem//$'\n'/ }"
  done
fi

problem=
IFS= read -r -d '' problem <&5
making=
exec 5<&-
[[ $problem == *$'\1' ]] || failed "cannot make the directories of $name: $problem"
: >"$pool/ready" || failed "cannot write $pool/ready"

put() { # put DIRECTORY NAME TEXT: whole or not at all
  printf '%s\n' "$3" >"$pool/new/$2" && mv -f -t "$1" "$pool/new/$2" || failed "cannot write $1/$2"
}
had=
{ IFS= read -r -d '' had <"$pool/environment"; } 2>/dev/null
[ "$had" = "$environment"$'\n' ] || put "$pool" environment "$environment"

# What is used is measured from before anybody logs in. The place where the job says that it begins is there before the
# key: whoever finds it waits for the meter's answer, which a job's program does on the VM and staging does not.
prepare_meter() {
  [ -d /run/vmpool ] || mkdir /run/vmpool || return
  printf '%s\n' "$meter" >/run/vmpool/meter &&
    printf '%d %d\n' $((limits[3] / 1024)) $(((limits[5] + 99) / 100)) >/run/vmpool/limits || return
  [ -p /run/vmpool/say ] || setpriv --regid "$gid" --clear-groups mkfifo -m 660 /run/vmpool/say
}
# A unit of systemd's is not ended with the administrator's session, and has a part of the tree of cgroups to itself; the
# job survives its end, is under none of the limits that units have by default, and does not take the meter along when it
# is out of memory.
start_meter() {
  local program=(bash --noprofile --norc /run/vmpool/meter "$uid" "$gid" "${limits[@]}")
  [ -d /run/systemd/system ] && systemd-run --quiet --collect --unit=vmpool-meter --property=Delegate=yes \
    --property=KillMode=process --property=TasksMax=infinity --property=OOMPolicy=continue "${program[@]}" && return
  exec setsid "${program[@]}"
}
if prepare_meter 2>/dev/null; then
  start_meter </dev/null >/dev/null 2>&1 3>&- 9>&- &
else
  # Where nobody will answer, nobody is to wait.
  rm -f /run/vmpool/say
fi
# The key last: nobody logs in before all is there.
put "$pool/keys" "$name" "$key"
if command -v restorecon >/dev/null && [ -d /sys/fs/selinux ]; then
  restorecon -RF "$pool" "$tmpdir" "${given[@]}" >/dev/null 2>&1
fi
answer ok
