# Measures what the processes of one user use on this machine, and ends them beyond the limits of their job. Started by
# stage.sh, ended by the signal TERM, as the scrub sends it. Runs as root, away from the user: what they can write to it
# is only said on its FIFO, and believed of nothing but themselves.
# Arguments: uid, gid, then limits, 0 for none: mem, pmem, vmem, pvmem in bytes, cput, pcput in hundredths of a second.
# /run/vmpool/usage has the figures, one line, as parseMeasured reads them; times in hundredths of a second.
set -u
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
shopt -s nullglob
uid=$1 gid=$2 place=/run/vmpool
declare -A limit=([mem]=$3 [pmem]=$4 [vmem]=$5 [pvmem]=$6 [cput]=$7 [pcput]=$8)
page=$(getconf PAGESIZE 2>/dev/null) || page=4096
# One meter for a lease, however often it is staged.
exec 7>"$place/meter.lock" && flock -n 7 || exit 0
# Also to be read by them: opened for both, it never blocks whoever writes.
[ -p "$place/say" ] || setpriv --regid "$gid" --clear-groups mkfifo -m 660 "$place/say" || exit 1
exec 8<>"$place/say" || exit 1

# Of each process of the job, by "PID START": its parent's key, all that it used with what it waited for.
declare -A parent_of=() used_by=() runners=()
cpu=0 lost=0 memory=0 seen_rss=0 rounds=0 over=none resource=- value=0 bound=0 over_at=0 killed=0
begun=-1 ended=-1 code=- told=0 answered=- before=0 busy=1 stopping=0 heard=0
# What serves a session is not the job.
servers=()
for path in /usr/sbin/sshd /usr/lib/openssh/sshd-session /usr/libexec/openssh/sshd-session /usr/lib/systemd/systemd; do
  [ -e "$path" ] && servers+=("$path")
done

clock() { # sets `now`: hundredths of a second since the machine's start
  local up
  read -r up _ </proc/uptime
  # Whatever stands here is calculated: a word that is none of the kernel's must not be.
  [[ $up =~ ^[0-9]{1,15}[.][0-9]{2}$ ]] && now=$((10#${up/./}))
}

# --- cgroup v2 where this machine lets us have one: exact, and the kernel keeps the limit
cg=
prepare_cgroup() {
  local root=/sys/fs/cgroup own= base
  [ -f "$root/cgroup.controllers" ] || return
  IFS= read -r own </proc/self/cgroup
  own=${own#0::}
  # As a unit of systemd's this part of the tree is ours; without systemd there is nobody to ask.
  if [[ $own == */vmpool-meter.service ]]; then
    base=$root$own
    mkdir -p "$base/meter" && echo $$ >"$base/meter/cgroup.procs"
  elif [ ! -d /run/systemd/system ] && [ "$own" = / ]; then
    base=$root/vmpool
    mkdir -p "$base" && echo +memory >"$root/cgroup.subtree_control"
  else
    return
  fi
  echo +memory >"$base/cgroup.subtree_control"
  mkdir -p "$base/job" && [ -w "$base/job/cgroup.procs" ] && [ -r "$base/job/cpu.stat" ] && cg=$base/job
  if [ -n "$cg" ] && [ "${limit[mem]}" -gt 0 ] && [ -w "$cg/memory.max" ]; then
    echo "${limit[mem]}" >"$cg/memory.max"
    [ -w "$cg/memory.swap.max" ] && echo 0 >"$cg/memory.swap.max"
  fi
}
adopt() { # adopt PID USED: into the group, with what it has used before that; what is born in it is counted there already
  local text
  whole "/proc/$1/cgroup"
  [[ $'\n'$text == *$'\n'"0::${cg#/sys/fs/cgroup}"[$'\n'/]* ]] && return
  echo "$1" >"$cg/cgroup.procs" && before=$((before + $2))
}
leave_cgroup() {
  local base=${cg%/job}
  [ -n "$cg" ] || return
  rmdir "$cg"
  [[ $base == */vmpool ]] && rmdir "$base"
}
figure() { # figure FILE [NAME]: sets `figure` to a number of the job's cgroup
  local name rest
  figure=0
  [ -r "$cg/$1" ] || return 1
  while read -r name rest; do
    if [ $# = 1 ]; then figure=$name; break; fi
    if [ "$name" = "$2" ]; then figure=$rest; break; fi
  done <"$cg/$1"
  [[ $figure =~ ^[0-9]{1,18}$ ]] || figure=0
}

glance() { # what the kernel has counted of the group: exact, and cheap enough to be asked at every pace
  local figure
  figure cpu.stat usage_usec && [ $((before + figure / 10000)) -gt "$cpu" ] && cpu=$((before + figure / 10000))
  { figure memory.peak || figure memory.current; } && [ "$figure" -gt "$memory" ] && memory=$figure
  figure memory.events oom_kill && [ "$figure" -gt 0 ] && exceed memory mem "$memory"
  beyond cput "$cpu" && exceed cput cput "$cpu"
}

# A file of a process is read to its end, always: bash reads ahead, and goes back to where a reader stopped. Where that
# fails, because the process has ended meanwhile, it takes what is left for the beginning of whatever is read next.
whole() { # whole FILE: sets `text`
  text=
  IFS= read -r -d '' text <"$1"
  [ -n "$text" ]
}
read_stat() { # read_stat PID: sets `part`, from the state on. The name may hold blanks and brackets: cut at the last one.
  local text
  whole "/proc/$1/stat" || return 1
  part=(${text##*) })
}
is_users() { # by its real uid; the owner of its directory is root's while it cannot be dumped
  local text
  whole "/proc/$1/status" && [[ $text == *$'\n'Uid:* ]] || return 1
  text=${text#*$'\n'Uid:}
  text=${text#[[:space:]]}
  [ "${text%%[[:space:]]*}" = "$uid" ]
}
is_server() {
  local path
  for path in "${servers[@]}"; do [ "/proc/$1/exe" -ef "$path" ] && return 0; done
  return 1
}
whole_pss() { # sets `pss` to bytes: shared pages count once
  local pid text
  pss=0
  for pid in "${pids[@]}"; do
    whole "/proc/$pid/smaps_rollup" && [[ $text =~ $'\n'Pss:[[:space:]]*([0-9]+) ]] &&
      pss=$((pss + BASH_REMATCH[1] * 1024))
  done
}
exceed() { # exceed MEMORY-OR-CPUT RESOURCE VALUE
  [ "$over" = none ] || return 0
  over=$1 resource=$2 value=$3 bound=${limit[$2]} over_at=$now
}
beyond() { [ "${limit[$1]}" -gt 0 ] && [ "$2" -gt "${limit[$1]}" ]; }

# --- one look at all processes of the user
look() {
  local pid key parent sum=0 rss=0 size=0 own candidates
  local -a part
  local -A now_used=() now_parent=() key_of=() ppid_of=()
  rounds=$((rounds + 1)) pids=()
  mapfile -t candidates < <(find /proc -mindepth 1 -maxdepth 1 -uid "$uid" -name "[0-9]*" 2>/dev/null)
  if [ $((rounds % 10)) = 0 ]; then candidates=(/proc/[0-9]*); fi
  for key in "${!used_by[@]}"; do candidates+=("/proc/${key% *}"); done
  for pid in "${candidates[@]}"; do
    pid=${pid#/proc/}
    [ -n "${key_of[$pid]:-}" ] && continue
    read_stat "$pid" || continue
    # One whose first thread has ended looks like one that has, but for its other threads.
    [ "${part[0]}" = Z ] && [ "${part[17]:-1}" -le 1 ] && [ -z "${used_by["$pid ${part[19]}"]:-}" ] && continue
    key="$pid ${part[19]}"
    if [ -z "${used_by[$key]:-}" ]; then
      { [ "${part[1]}" = 2 ] || ! is_users "$pid"; } && continue
      [ -n "$cg" ] && ! is_server "$pid" && adopt "$pid" $((part[11] + part[12]))
    fi
    is_server "$pid" && continue
    own=$((part[11] + part[12]))
    key_of[$pid]=$key ppid_of[$key]=${part[1]}
    now_used[$key]=$((own + part[13] + part[14]))
    sum=$((sum + now_used[$key])) rss=$((rss + part[21] * page)) size=$((size + part[20]))
    pids+=("$pid")
    beyond pmem "$((part[21] * page))" && exceed memory pmem "$((part[21] * page))"
    beyond pvmem "${part[20]}" && exceed memory pvmem "${part[20]}"
    beyond pcput "$own" && exceed cput pcput "$own"
  done
  for key in "${!ppid_of[@]}"; do now_parent[$key]=${key_of[${ppid_of[$key]}]:-}; done
  # What those that are gone have used is in the times of whoever waited for them; of an orphan's nobody did.
  for key in "${!used_by[@]}"; do
    [ -n "${now_used[$key]:-}" ] && continue
    parent=${parent_of[$key]}
    while [ -n "$parent" ] && [ -z "${now_used[$parent]:-}" ]; do parent=${parent_of[$parent]:-}; done
    [ -n "$parent" ] || lost=$((lost + used_by[$key]))
  done
  used_by=() parent_of=()
  for key in "${!now_used[@]}"; do used_by[$key]=${now_used[$key]} parent_of[$key]=${now_parent[$key]}; done
  # Time that is used stays used: where a sum falls, somebody waited for nobody.
  [ $((sum + lost)) -ge "$cpu" ] || lost=$((cpu - sum))
  cpu=$((sum + lost))
  clock
  if [ -n "$cg" ]; then
    glance
    lost=$((cpu - sum))
  fi
  if [ -z "$cg" ] || [ ! -r "$cg/memory.current" ]; then
    # Shared pages are counted with each that has them: that much is reached at most. What it really is costs more to
    # find out, and is asked only where it could be news.
    if beyond mem "$rss" || [ "$rss" -gt $((seen_rss + seen_rss / 50)) ] || [ $((rounds % 60)) = 0 ]; then
      whole_pss
      seen_rss=$rss
      [ "$pss" -gt "$memory" ] && memory=$pss
      beyond mem "$pss" && exceed memory mem "$pss"
    fi
  fi
  beyond vmem "$size" && exceed memory vmem "$size"
  beyond cput "$cpu" && exceed cput cput "$cpu"
  [ "$over" = none ] || enforce
}

# Torque's way: TERM, and KILL some seconds later; at once where it is the machine's memory. The program that tells of
# the end is spared for as long as it needs for that.
enforce() {
  local pid victims=()
  for pid in "${pids[@]}"; do [ -n "${runners[$pid]:-}" ] || victims+=("$pid"); done
  if [ $((now - over_at)) -gt 1000 ]; then
    [ "${#pids[@]}" = 0 ] ||
      setpriv --reuid "$uid" --regid "$gid" --clear-groups /bin/bash -c "kill -9 -1" 7>&- 8>&-
  elif [ "${#victims[@]}" -gt 0 ]; then
    if [ "$over" = memory ] || [ $((now - over_at)) -gt 500 ]; then
      kill -KILL "${victims[@]}"
    elif [ "$killed" = 0 ]; then
      kill -TERM "${victims[@]}"
      kill -CONT "${victims[@]}"
      killed=1
    fi
  fi
}

report() {
  local wall=0 by=sampler line
  [ "$begun" -ge 0 ] && wall=$(((ended >= 0 ? ended : now) - begun))
  [ -n "$cg" ] && by=cgroup
  # Over what was there, at the same length: whoever reads finds the one or the other, and never half.
  printf -v line "v1 cpu=%d memory=%d wall=%d begun=%d code=%s told=%d over=%s resource=%s value=%d limit=%d by=%s answered=%s" \
    "$cpu" "$memory" "$wall" $((begun >= 0)) "$code" "$told" "$over" "$resource" "$value" "$bound" "$by" "$answered"
  printf "%-300s end\n" "$line" 1<>"$place/usage"
}
finish() {
  local until
  busy=1
  clock
  until=$((now + 100))
  # What was said before it was told to end, the end of the job above all, counts as if it had been heard at once. Who
  # goes on talking, without an end to any line, is not waited for.
  for (( ; heard < 100; heard++)); do
    read -t 0 -u 8 && listen 0.2 || break
    clock
    [ "$now" -lt "$until" ] || break
  done
  look
  report
  leave_cgroup
  exit 0
}

half=
listen() { # listen SECONDS: hears one line, if one begins that soon. Neither a look that is due nor the meter's end cuts it.
  local text=
  # Read exactly, without IFS: it would be as empty for the trap that comes meanwhile.
  read -r -t "$1" -N 1 -u 8 text || return
  busy=1
  half+=$text
  if [ "$text" != $'\n' ]; then
    text=
    # Ours come whole. What comes in pieces is put together, and at length does not hold up a look.
    IFS= read -r -t 0.2 -u 8 text || { half=${half:0:500}$text; return 0; }
    half+=$text
  fi
  set -f
  set -- $half
  set +f
  half=
  hear "${1:-}" "${2:-}" "${3:-}" "${4:-}"
  return 0
}
hear() { # hear WORD PID CODE WHAT, as said by whoever may write to the FIFO
  local key known
  local -a part
  [[ ${2:-} =~ ^[1-9][0-9]{0,9}$ ]] || return
  case $1 in
    begin)
      is_users "$2" && [ "${#runners[@]}" -lt 1000 ] || return
      known=${runners[$2]:-}
      runners[$2]=1
      [ "$begun" -ge 0 ] || begun=$now
      [ -n "$cg" ] && read_stat "$2" && adopt "$2" $((part[11] + part[12]))
      # It waits for this line before it starts anything.
      report
      # What it has started all the same is found by a look; told again while it waits, it has started nothing since.
      [ -n "$known" ] || due=$now look_due=$now
      ;;
    told) [ "$ended" -ge 0 ] || told=1 ;;
    end)
      [[ ${3:-} =~ ^[0-9]{1,3}$ ]] || return
      # Whoever told may be gone by now, or go while they are looked at, but is nobody else.
      is_users "$2" || [ ! -d "/proc/$2" ] || return
      # What ends has begun, though it was not heard: with the process that tells of it.
      if [ "${4:-}" = job ] && [ "$begun" -lt 0 ]; then
        begun=$now
        if read_stat "$2"; then
          begun=${part[19]}
        else
          for key in "${!used_by[@]}"; do [ "${key% *}" = "$2" ] && begun=${key#* }; done
        fi
      fi
      look
      if [ "${4:-}" = job ] && [ "$code" = - ]; then
        code=$((10#$3)) ended=$now
        # Ended by the kernel, by the limit of its own that the runner had set.
        [ "$code" = 152 ] && [ "${limit[pcput]}" -gt 0 ] && exceed cput pcput "${limit[pcput]}"
      fi
      answered=$2
      report
      ;;
  esac
}

{
  # Not in the middle of a look, nor of a line whose beginning has been read.
  trap "if [ \"\$busy\" = 1 ] || [ -n \"\${text:-}\" ]; then stopping=1; else finish; fi" TERM
  echo $$ >"$place/pid"
  prepare_cgroup
  clock
  # Nobody is there yet, and whoever comes says so: no look takes their processor's time while they log in.
  report
  due=$((now + 100)) look_due=$due
  while :; do
    clock
    if [ "$now" -ge "$due" ]; then
      looks=1
      if [ -n "$cg" ]; then
        glance
        [ "$now" -ge "$look_due" ] || [ "$over" != none ] || looks=0
      fi
      [ "$looks" = 0 ] || look
      report
      pace=100
      for resource_near in mem:$seen_rss cput:$cpu; do
        near=${limit[${resource_near%:*}]}
        [ "$near" -gt 0 ] && [ $((2 * ${resource_near#*:})) -gt "$near" ] && pace=25
      done
      [ "$over" = none ] || pace=25
      # A fiftieth of one processor at most for looks, whatever there is to be looked at; half of one for ending a job.
      read_stat $$ && cost=$(((part[11] + part[12] + part[13] + part[14]) / rounds)) || cost=0
      [ "$over" = none ] && cost=$((50 * cost))
      [ "$cost" -gt "$pace" ] || cost=$pace
      if [ -z "$cg" ] || [ "$over" != none ]; then pace=$cost; elif [ "$looks" = 1 ]; then look_due=$((now + cost)); fi
      due=$((now + pace)) heard=0
    fi
    rest=$((due - now))
    [ "$rest" -gt 0 ] || continue
    printf -v rest "%d.%02d" $((rest / 100)) $((rest % 100))
    [ "$stopping" = 0 ] || finish
    busy=0
    if [ "$heard" -ge 100 ]; then
      # Somebody has too much to say.
      sleep "$rest"
      # What this form of read has read ahead dies with the shell that did: it would be the beginning of the next file.
      (read -r -t 0.01 -N 65536 -u 8 _)
    else
      listen "$rest" && heard=$((heard + 1))
    fi
    busy=1
  done
} 2>/dev/null
