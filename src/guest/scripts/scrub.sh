# Removes everything of a lease from this machine. Safe to be cut anywhere and repeated.
# Argument: the order's number; one below that of the last order is refused.
# Standard input, each field ended by NUL: lease (empty: the machine should bear no marker), lowest uid, then counted
# lists of the baseline: mounts ("TYPE POINT", as in mountinfo), processes ("UID EXE COMMAND"), names in /tmp, /var/tmp and
# /dev/shm ("/tmp/NAME").
# Answers: any number of "note WHAT WENT WRONG", at most one "usage FIGURES" (meter.sh), then ok | foreign LEASE | stale NUMBER | failed WHY
set -u
umask 077
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Whatever the tools print is not the answer.
exec 3>&1 >/dev/null
shopt -s nullglob dotglob
answer() { # one line, whatever the reason holds
  local text=$*
  printf '%s\n' "${text//$'\n'/ }" >&3
  exit 0
}
note() { printf 'note %q\n' "$*" >&3; }

mapfile -d '' -t field
next=0
take() { # take NAME: the next counted list
  local -n list=$1
  local count=${field[next]:-0}
  list=("${field[@]:next+1:count}")
  next=$((next + 1 + count))
}
[ "${#field[@]}" -ge 5 ] || answer failed "the order was cut"
lease=${field[0]} uid_min=${field[1]} next=2
take baseline_mounts
take baseline_processes
take baseline_tmp
pool=/etc/vmpool

# Root's alone: whoever may open it may lock it.
umask 077
exec 9>>/run/vmpool.lock && chmod 600 /run/vmpool.lock && flock -w 30 9 ||
  answer failed "another order is still being carried out on this machine"
# An order that was held up on its way, by a network or a service that was killed, must not undo a later one.
last=
IFS= read -r last </run/vmpool.lock
[[ $last =~ ^[0-9]{1,16}$ ]] || last=0
[ "$1" -ge "$last" ] || answer stale "$last"

# --- whose is it? Whoever does not name the lease of the marker knows nothing of the job that may be running.
if [ -e "$pool/lease.json" ] || [ -L "$pool/lease.json" ]; then
  standing=
  IFS= read -r standing <"$pool/lease.json"
  if [ -z "$lease" ] || [[ $standing != '{"lease":"'"$lease"'",'* ]]; then
    [[ $standing =~ ^\{\"lease\":\"([A-Za-z0-9._-]{1,128})\" ]] && answer foreign "${BASH_REMATCH[1]}"
    answer foreign unreadable
  fi
fi
# What was used stays beside the number until the next order: an answer may be lost on its way.
end_meter
printf '%s\n%s\n' "$1" "${lease:--} $usage" >/run/vmpool.lock
[ -z "$usage" ] || printf 'usage %s\n' "$usage" >&3
name= uid= gid= user= groups=() members=() homes=() dirs=() tmps=()
if [ -f "$pool/made" ]; then
  while read -r kind rest; do
    case $kind in
      job) name=${rest%% *} gid=${rest##* } uid=${rest#* } uid=${uid% *} ;;
      user) user=$rest ;;
      group) groups+=("$rest") ;;
      member) members+=("$rest") ;;
      home) homes+=("$rest") ;;
      dir) dirs=("$rest" "${dirs[@]}") ;;
      tmp) tmps+=("$rest") ;;
    esac
  done <"$pool/made"
fi
# A journal that could name the administrator is no journal of ours.
if [ -n "$uid" ] && ! { [[ $uid =~ ^[0-9]+$ ]] && [ "$uid" -ge "$uid_min" ]; }; then
  note "the journal names uid $uid: ignored"
  name= uid= gid= user=
fi

# --- nothing new may log in or start
rm -f "$pool"/keys/*
if [ -n "$user" ]; then usermod --expiredate 1 "$user" 2>/dev/null; fi
if [ -n "$name" ]; then
  rm -f -- "/var/spool/cron/crontabs/$name" "/var/spool/cron/$name" "/var/spool/cron/tabs/$name"
  rm -f -- "/var/lib/systemd/linger/$name"
  for spool in /var/spool/cron/atjobs /var/spool/cron/atspool /var/spool/at; do
    [ -d "$spool" ] && find "$spool" -xdev -mindepth 1 -uid "$uid" -delete
  done
  if [ -d /run/systemd/system ]; then
    # What the user has systemd keep may ask for as long as it likes to stop: it is asked nothing. A manager that was
    # killed counts as failed and would stay.
    systemctl kill --signal=KILL "user@$uid.service" "user-$uid.slice"
    loginctl terminate-user "$name"
    timeout -k 2 30 systemctl stop "user@$uid.service" "user-$uid.slice"
    systemctl reset-failed "user@$uid.service"
  fi >/dev/null 2>&1
fi

# --- processes
declare -A known=() ours=()
for line in "${baseline_processes[@]}"; do known[$line]=1; done
declare -A parent_of=() exe_of=()

# One whose first thread has ended looks like one that has, but for its other threads: it is no zombie here.
read_stat() { # read_stat PID: sets state and parent. The name may hold blanks and brackets: cut at the last one.
  local line= # a process may be gone by now
  IFS= read -r -d '' line 2>/dev/null <"/proc/$1/stat"
  [ -n "$line" ] || return 1
  # No here-strings: older shells write them to a disk that a job may have filled.
  local -a part=(${line##*) })
  state=${part[0]} parent=${part[1]}
  [ "${part[17]:-1}" -le 1 ] || state=alive
}

# The admin connection that carries this script, with all that it has started, is not touched: it is below the
# highest ancestor that is sshd serving a connection (its title says so; the listener's says otherwise).
find_ours() {
  local pid=$$ state parent title
  own_top=$$
  while read_stat "$pid" && [ "$parent" -gt 1 ]; do
    pid=$parent title=
    IFS= read -r -d '' title 2>/dev/null <"/proc/$pid/cmdline"
    [[ $title == *'[listener]'* ]] && break
    case $title in "sshd: "* | "sshd-session: "*) own_top=$pid ;; esac
  done
}
is_ours() {
  local pid=$1 hops=0
  while [ "$pid" -gt 1 ] && [ "$hops" -lt 64 ]; do
    [ "$pid" = "$own_top" ] && return 0
    pid=${parent_of[$pid]:-0} hops=$((hops + 1))
  done
  return 1
}

own_top=$$
find_ours
strangers() { # sets `victims` and `victim_names`
  victims=() victim_names=()
  parent_of=() exe_of=()
  local pid state parent key real effective saved rest login exe cgroup hit status
  local -a command part
  while IFS= read -r -d '' key && IFS= read -r -d '' exe; do
    pid=${key#/proc/} pid=${pid%/exe}
    exe_of[$pid]=${exe% (deleted)}
  done < <(find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*/exe' -printf '%p\0%l\0' 2>/dev/null)
  local -A state_of=()
  for pid in /proc/[0-9]*; do
    pid=${pid#/proc/}
    read_stat "$pid" || continue
    parent_of[$pid]=$parent state_of[$pid]=$state
  done
  for pid in "${!parent_of[@]}"; do
    [ "$pid" = 1 ] && continue
    [ "$pid" = 2 ] || [ "${parent_of[$pid]}" = 2 ] && continue
    [ "${state_of[$pid]}" = Z ] && continue
    real= effective= saved= login= cgroup= command=() hit=0
    # To its end: what bash has read ahead of a process that is gone, it takes for the beginning of the next file.
    status=
    IFS= read -r -d '' status 2>/dev/null <"/proc/$pid/status"
    [[ $status == *$'\n'Uid:* ]] || continue
    status=${status#*$'\n'Uid:}
    part=(${status%%$'\n'*})
    real=${part[0]} effective=${part[1]} saved=${part[2]}
    if [ -n "$uid" ]; then
      { [ "$real" = "$uid" ] || [ "$effective" = "$uid" ] || [ "$saved" = "$uid" ]; } && hit=1
      read -r login 2>/dev/null <"/proc/$pid/loginuid"
      [ "$login" = "$uid" ] && hit=1
      IFS= read -r -d '' cgroup 2>/dev/null <"/proc/$pid/cgroup"
      [[ ${cgroup:-} == *"/user-$uid.slice"* ]] && hit=1
    fi
    if [ "$hit" = 0 ]; then
      is_ours "$pid" && continue
      mapfile -d '' -t command 2>/dev/null <"/proc/$pid/cmdline"
      exe=${exe_of[$pid]:-}
      case $exe in
        # These change their titles, and what they run is judged by its own entry.
        */sshd | */sshd-session | */systemd | */systemd-udevd | */udevadm | */agetty) rest="$real $exe" ;;
        *) rest="$real $exe ${command[*]}" ;;
      esac
      [ -n "${known[$rest]:-}" ] && continue
      # Started by systemd on demand, for whoever asks.
      IFS= read -r -d '' cgroup 2>/dev/null <"/proc/$pid/cgroup"
      [[ $exe == /usr/lib/systemd/systemd-* && ${cgroup:-} == */system.slice/systemd-*.service* ]] && continue
    fi
    victims+=("$pid")
    victim_names+=("$real:${exe_of[$pid]:-?}")
  done
}
end_processes() {
  local round
  if [ -n "$uid" ]; then
    # One call of the kernel's that reaches all of the user's processes: no fork can outrun it.
    setpriv --reuid "$uid" --regid "${gid:-$uid}" --clear-groups /bin/bash -c 'kill -9 -1' >/dev/null 2>&1 9>&-
  fi
  for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    strangers
    [ "${#victims[@]}" = 0 ] && return
    kill -STOP "${victims[@]}" 2>/dev/null
    kill -KILL "${victims[@]}" 2>/dev/null
    sleep 0.0"$round" 2>/dev/null || sleep 1
  done
  note "processes that do not end: ${victim_names[*]:0:10}"
}
end_processes

# --- IPC
end_ipc() {
  local kind i owner_at creator_at row rows
  local -a column
  for kind in shm sem msg; do
    # The whole list first: it changes with each that is removed.
    mapfile -t rows 2>/dev/null <"/proc/sysvipc/$kind" || continue
    owner_at=-1 creator_at=-1
    column=(${rows[0]:-})
    for i in "${!column[@]}"; do
      [ "${column[i]}" = uid ] && owner_at=$i
      [ "${column[i]}" = cuid ] && creator_at=$i
    done
    for row in "${rows[@]:1}"; do
      column=($row)
      if [ "${column[owner_at]:-}" = "$uid" ] || [ "${column[creator_at]:-}" = "$uid" ]; then
        case $kind in shm) ipcrm -m "${column[1]}" ;; sem) ipcrm -s "${column[1]}" ;; msg) ipcrm -q "${column[1]}" ;; esac ||
          note "cannot remove $kind ${column[1]}"
      fi
    done
  done
  [ -d /dev/mqueue ] && find /dev/mqueue -mindepth 1 -maxdepth 1 -uid "$uid" -delete 2>/dev/null
}
if [ -n "$uid" ]; then
  end_ipc
  # The kernel keeps a user's keyring (tickets of Kerberos, say) beyond the last of their processes.
  if command -v keyctl >/dev/null; then
    for ring in @u @us; do
      setpriv --reuid "$uid" --regid "${gid:-$uid}" --clear-groups keyctl clear $ring >/dev/null 2>&1 9>&-
    done
  fi
fi

# --- mounts made since the baseline, the last one first
declare -A counted=()
for line in "${baseline_mounts[@]}"; do counted[$line]=$((${counted[$line]:-0} + 1)); done
points=() types=() options=()
read_mounts() {
  local point rest option
  points=() types=() options=()
  while read -r _ _ _ _ point option rest; do
    rest=${rest#*- }
    points+=("$point") types+=("${rest%% *}") options+=("$option")
  done </proc/self/mountinfo
}
find_extra() {
  local i line
  local -A left=()
  read_mounts
  extra=()
  for i in "${!points[@]}"; do
    line="${types[i]} ${points[i]}"
    left[$line]=$((${left[$line]:-0} + 1))
    [ "${left[$line]}" -gt "${counted[$line]:-0}" ] && extra=("$i" "${extra[@]}")
  done
}
find_extra
for i in "${extra[@]}"; do
  printf -v point '%b' "${points[i]//\\/\\0}"
  timeout -k 2 10 umount -- "$point" 2>/dev/null || timeout -k 2 10 umount -f -l -- "$point" 2>/dev/null ||
    note "cannot unmount $point"
done
# Nothing is deleted while one stands: a bind mount has the device number of where it comes from, so that neither find
# nor rm would notice that they are about to cross it.
[ "${#extra[@]}" = 0 ] || find_extra
if [ "${#extra[@]}" != 0 ]; then
  printf -v point '%b' "${points[extra[0]]//\\/\\0}"
  answer failed "cannot unmount $point, so nothing is deleted"
fi

# --- files. Only on local file systems, never across a mount.
local_type() {
  case $1 in
    ext[234] | xfs | btrfs | overlay | tmpfs | ramfs | f2fs | jfs | zfs | bcachefs | reiserfs | vfat | exfat | devtmpfs) return 0 ;;
    *) return 1 ;;
  esac
}
type_above() { # type_above PATH: the type of the file system that holds it
  local i point best=-1
  type=
  for i in "${!points[@]}"; do
    printf -v point '%b' "${points[i]//\\/\\0}"
    if [ "$point" = / ] || [ "$1" = "$point" ] || [[ $1 == "$point"/* ]]; then
      if [ "${#point}" -ge "$best" ]; then best=${#point} type=${types[i]}; fi
    fi
  done
}
remove_tree() { # remove_tree PATH: never through a link, never another file system, never one that is not local
  [ -e "$1" ] || [ -L "$1" ] || return 0
  type_above "$1"
  local_type "$type" || { note "$1 is on $type and was left alone"; return 0; }
  rm -rf --one-file-system -- "$1" 2>/dev/null || note "cannot remove all of $1"
}
for path in "${tmps[@]}" "${homes[@]}"; do remove_tree "$path"; done
if [ -n "$name" ]; then remove_tree "/run/user/$uid"; rm -f -- "/var/mail/$name" "/var/spool/mail/$name"; fi

declare -A kept=()
for path in "${baseline_tmp[@]}"; do kept[$path]=1; done
for place in /tmp /var/tmp /dev/shm; do
  for path in "$place"/*; do
    [ -n "${kept[$path]:-}" ] && continue
    # systemd's own, made for a service that started on demand.
    [[ $path == */systemd-private-* && -O $path && ! -L $path ]] && continue
    remove_tree "$path"
  done
done

if [ -n "$uid" ]; then
  whose=(-uid "$uid")
  for group in "${groups[@]}"; do
    while IFS=: read -r _ _ group_id _; do whose+=(-o -gid "$group_id"); done < <(getent group "$group")
  done
  places=()
  for i in "${!points[@]}"; do
    local_type "${types[i]}" || continue
    [[ ,${options[i]}, == *,ro,* ]] && continue
    printf -v point '%b' "${points[i]//\\/\\0}"
    places+=("$point")
  done
  if [ -n "$user" ]; then
    find "${places[@]}" -xdev -mindepth 1 \( "${whose[@]}" \) -prune -exec rm -rf --one-file-system -- {} + 2>/dev/null
  elif [ -e "$pool/made" ]; then
    # The account is the image's or the directory service's own: what it had before the lease stays.
    find "${places[@]}" -xdev -mindepth 1 ! -type d -uid "$uid" -newercm "$pool/made" -delete 2>/dev/null
    find "${places[@]}" -xdev -mindepth 1 -depth -type d -uid "$uid" -newercm "$pool/made" -empty -delete 2>/dev/null
  fi
fi
for path in "${dirs[@]}"; do rmdir -- "$path" 2>/dev/null; done

# --- a last look for what was started meanwhile (a login that had begun before the key was gone), then the account
end_processes
if [ -n "$uid" ]; then end_ipc; fi
if [ -n "$user" ]; then userdel -f "$user" >/dev/null 2>&1; getent passwd "$user" >/dev/null && note "account $user stays"; fi
for group in "${members[@]}"; do gpasswd -d "$name" "$group" >/dev/null 2>&1; done
for group in "${groups[@]}"; do groupdel "$group" >/dev/null 2>&1; getent group "$group" >/dev/null && note "group $group stays"; done
# The backups that the account tools keep still hold the job's name.
for file in passwd group shadow gshadow subuid subgid; do
  [ -f "/etc/$file" ] && [ -n "$user${groups[*]}${members[*]}" ] && cp -p "/etc/$file" "/etc/$file-"
done

# --- the marker goes last
rm -rf /run/vmpool
rm -f "$pool/environment" "$pool"/new/* "$pool/ready" "$pool/made" && rm -f "$pool/lease.json" ||
  answer failed "cannot remove the marker"
answer ok
