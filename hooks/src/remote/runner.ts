import { quote } from './quote.js';

/** Says something to what measures the job there (meter.sh of the service's guest part), where it does. */
const tell = `tell() { [ -w /run/vmpool/say ] && echo "$*" 1<>/run/vmpool/say; } 2>/dev/null`;

/**
 * Waits until the meter has heard of the begin and, where it works by cgroup, has taken this process into the job's
 * group: what is allocated before that would not be counted there, nor limited. After 2 s of a meter that is gone, 10 s of
 * one that lives or has yet to come (there is no FIFO where it cannot), the task starts without. The FIFO is held open
 * meanwhile, so that what was said is not lost while nobody reads it.
 */
const awaitMeter = `await_meter() {
  local line up now until=0 rounds=0 group pid
  exec 8<> <(:) 9<>/run/vmpool/say || return
  while :; do
    line= group=
    read -r line < /run/vmpool/usage
    case $line in *" begun=1 "*" by=sampler "*) break ;; *" begun=1 "*)
      while read -r group; do case $group in 0::*vmpool*/job) break 2 ;; esac; done < "/proc/$$/cgroup"
    esac
    read -r up _ < /proc/uptime
    now=$((10#\${up/./}))
    [ "$until" != 0 ] || until=$((now + 200))
    if [ "$now" -ge "$until" ]; then
      [ "$now" -lt $((until + 800)) ] || break
      [ ! -e /run/vmpool/pid ] || { read -r pid < /run/vmpool/pid && [ -d "/proc/\${pid:-x}" ]; } || break
    fi
    rounds=$((rounds + 1))
    [ $((rounds % 100)) != 0 ] || tell begin $$
    read -r -t 0.002 -u 8
  done
  exec 8>&- 9>&-
} 2>/dev/null`;

/**
 * The program that runs a task (the job, or a command of pbsdsh) on the VM. It stays as parent, so that the exit code
 * is on record there: ssh's own 255 and a job's 255 look the same from outside. The task's environment and
 * arguments come as NUL-separated files, byte for byte, and reach it through env(1), because a shell would drop
 * names that are no identifiers (exported functions).
 *
 * Arguments: the task's directory, its umask, what it is (`job` or `task`), and 1 where the usage is to be printed at
 * the end of its output. Bash 4.2 and coreutils are all it needs.
 *
 * It starts as few programs as it can, since a job waits for each: a line that a shell writes is there as a whole or not
 * at all.
 *
 * Limits of one process are the kernel's to keep, from here on; those of the job as a whole are kept by root on the VM,
 * who ends the job and leaves the reason in /run/vmpool/usage. The answer is waited for only where it is told.
 */
export const runner = `#!/bin/bash
t=$1
read -r line < /proc/self/stat
read -r _ _ _ sid _ <<< "\${line##*) }"
echo "$sid $$" > "$t/session" || exit 73
E=() A=()
while IFS= read -r -d '' v; do E+=("$v"); done < "$t/environment"
while IFS= read -r -d '' v; do A+=("$v"); done < "$t/arguments"
: > "$t/environment"
if [ -s "$t/nodes" ]; then
  read -r n < "$t/nodes"
  h=$(uname -n)
  for ((; n > 0; n--)); do echo "$h"; done > "\${t%/*}/nodefile"
fi
IFS= read -r -d '' h < "$t/home"
cd -- "$h" 2>/dev/null || cd /
trap : HUP INT QUIT TERM USR1 USR2 ALRM
${tell}
tell begin $$
${awaitMeter}
[ ! -p /run/vmpool/say ] || await_meter
size=0 time=0
[ ! -r /run/vmpool/limits ] || read -r size time < /run/vmpool/limits
umask "$2"
: > "$t/started"
(
  [ "$size" = 0 ] || ulimit -v "$size"
  # Soft before hard: a limit that is both is kept by SIGKILL, which tells nobody why.
  [ "$time" = 0 ] || { ulimit -St "$time" && ulimit -Ht "$((time + 5))"; }
  exec env -i "\${E[@]}" "\${A[@]}"
)
code=$?
umask 077
echo "$code" > "$t/end"
tell end $$ "$code" "$3"
[ "$code" -gt 128 ] || [ "$4" = 1 ] || exit "$code"
u=
for ((i = 0; i < 50; i++)); do
  read -r u 2>/dev/null < /run/vmpool/usage || break
  case $u in *" answered=$$ "*) break ;; esac
  sleep 0.02
done
cpu=- memory=0 wall=0 over=none resource=- value=0 limit=0
for w in $u; do
  case $w in cpu=* | memory=* | wall=* | over=* | resource=* | value=* | limit=*) printf -v "\${w%%=*}" %s "\${w#*=}" ;; esac
done
seconds() { printf '%d.%02d s' $(($1 / 100)) $(($1 % 100)); }
mib() { printf '%d MiB' $((($1 + 1048575) / 1048576)); }
case $over in
  memory) echo "vmpool: job killed: $resource $(mib "$value") exceeded limit $(mib "$limit")" >&2 ;;
  cput) echo "vmpool: job killed: $resource $(seconds "$value") exceeded limit $(seconds "$limit")" >&2 ;;
esac
if [ "$4" = 1 ] && [ "$cpu" != - ]; then
  n=1 percent=
  for w in "\${E[@]}"; do case $w in PBS_NUM_PPN=[1-9]*) n=\${w#*=} ;; esac; done
  [ "$wall" = 0 ] || percent=" ($((100 * cpu / wall / n)) % of $n processor$([ "$n" = 1 ] || echo s))"
  echo
  echo "vmpool: resources used by this job on $(uname -n)"
  echo "  CPU time   $(seconds "$cpu")$percent"
  echo "  wall time  $(seconds "$wall")"
  echo "  memory     $(mib "$memory") at most"
  echo "  exit code  $code"
fi
exit "$code"
`;

/** Signals by which Torque means the job's end. */
const deadly = new Set(['TERM', 'INT', 'HUP', 'QUIT', 'KILL']);

/**
 * Waits for the session to be known and the task to be started, then signals every process of it but the runner. The
 * shell that reads the one line with the script's name (`shell` marks such a task) is spared as long as the script runs:
 * it would die of the signal at once, and with it the exit code of a script that cleans up.
 */
export function signalScript(taskDirectory: string, signal: string): Buffer {
  return Buffer.from(`t=${quote(taskDirectory)}
for ((i = 0; i < 30; i++)); do [ -s "$t/session" ] && break; sleep 0.1; done
[ -s "$t/session" ] || exit 3
read -r sid runner < "$t/session"
${deadly.has(signal) ? `${tell}\ntell told $runner` : ''}
tell=() shell=()
look() {
  for p in /proc/[0-9]*; do
    line=; { read -r line < "$p/stat"; } 2>/dev/null || continue
    read -r -a part <<< "\${line##*) }"
    parent=\${part[1]} s=\${part[3]} p=\${p#/proc/}
    # One whose first thread has ended looks like one that has, but for its other threads.
    if [ "\${part[0]}" = Z ] && [ "\${part[17]:-1}" -le 1 ]; then continue; fi
    if [ "$s" != "$sid" ] || [ "$p" = "$runner" ] || [ "$p" = "$sid" ]; then continue; fi
    if [ -e "$t/shell" ] && [ "$parent" = "$runner" ]; then shell+=("$p"); else tell+=("$p"); fi
  done
  [ \${#tell[@]} -gt 0 ] || tell=("\${shell[@]}")
}
# Before the task has started, what else is there is the runner's own, for a moment. A runner that an older worker sent does
# not say that it has.
for ((i = 0; i < 120; i++)); do
  if [ -e "$t/started" ] || [ "$i" -ge 10 ]; then look; fi
  if [ \${#tell[@]} -gt 0 ] || [ -s "$t/end" ] || [ ! -d "/proc/$runner" ]; then break; fi
  sleep 0.1
done
[ \${#tell[@]} -gt 0 ] && kill -${signal} "\${tell[@]}" 2>/dev/null
exit 0
`);
}

/** Answers \`end CODE\`, \`running\`, \`lost\` (started, gone without a record) or \`new UPTIME\` (never started). */
export function askScript(taskDirectory: string): Buffer {
  return Buffer.from(`t=${quote(taskDirectory)}
if [ -s "$t/end" ]; then echo "end $(cat "$t/end")"
elif [ -s "$t/session" ]; then read -r sid runner < "$t/session"; if kill -0 "$runner" 2>/dev/null; then echo running; else echo lost; fi
else read -r up _ < /proc/uptime; echo "new \${up%%.*}"; fi
exit 0
`);
}

/** Ends what still runs of every task, so that files stand still before they are copied back. */
export function endScript(directory: string): string {
  return `for f in ${quote(directory)}/task-*/session; do
  [ -s "$f" ] || continue
  read -r sid runner < "$f"
  for p in /proc/[0-9]*; do
    line=; { read -r line < "$p/stat"; } 2>/dev/null || continue
    read -r _ _ _ s _ <<< "\${line##*) }"
    [ "$s" = "$sid" ] && [ "\${p#/proc/}" != "$$" ] && kill -KILL "\${p#/proc/}" 2>/dev/null
  done
done
`;
}
