import { quote } from './quote.js';

/**
 * The program that runs a task (the job, or a command of pbsdsh) on the VM. It stays as parent, so that the exit code
 * is on record there: ssh's own 255 and a job's 255 look the same from outside. The task's environment and
 * arguments come as NUL-separated files, byte for byte, and reach it through env(1), because a shell would drop
 * names that are no identifiers (exported functions).
 *
 * Arguments: the task's directory, its umask. Bash 4.2 and coreutils are all it needs.
 */
export const runner = `#!/bin/bash
t=$1
read -r line < /proc/self/stat
read -r _ _ _ sid _ <<< "\${line##*) }"
echo "$sid $$" > "$t/session.new" && mv -f "$t/session.new" "$t/session" || exit 73
E=() A=()
while IFS= read -r -d '' v; do E+=("$v"); done < "$t/environment"
while IFS= read -r -d '' v; do A+=("$v"); done < "$t/arguments"
rm -f "$t/environment"
if [ -s "$t/nodes" ]; then
  n=$(cat "$t/nodes") h=$(uname -n)
  for ((; n > 0; n--)); do echo "$h"; done > "\${t%/*}/nodefile"
fi
cd -- "$(cat "$t/home")" 2>/dev/null || cd /
umask "$2"
trap : HUP INT QUIT TERM USR1 USR2 ALRM
env -i "\${E[@]}" "\${A[@]}"
code=$?
umask 077
echo "$code" > "$t/end.new" && mv -f "$t/end.new" "$t/end"
exit "$code"
`;

/**
 * Waits for the session to be known, then signals every process of it but the runner. The shell that reads the one
 * line with the script's name (`shell` marks such a task) is spared as long as the script runs: it would
 * die of the signal at once, and with it the exit code of a script that cleans up.
 */
export function signalScript(taskDirectory: string, signal: string): Buffer {
  return Buffer.from(`t=${quote(taskDirectory)}
for ((i = 0; i < 30; i++)); do [ -s "$t/session" ] && break; sleep 0.1; done
[ -s "$t/session" ] || exit 3
read -r sid runner < "$t/session"
tell=() shell=()
for p in /proc/[0-9]*; do
  line=; { read -r line < "$p/stat"; } 2>/dev/null || continue
  read -r _ parent _ s _ <<< "\${line##*) }"
  p=\${p#/proc/}
  if [ "$s" != "$sid" ] || [ "$p" = "$runner" ] || [ "$p" = "$sid" ]; then continue; fi
  if [ -e "$t/shell" ] && [ "$parent" = "$runner" ]; then shell+=("$p"); else tell+=("$p"); fi
done
[ \${#tell[@]} -gt 0 ] || tell=("\${shell[@]}")
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
