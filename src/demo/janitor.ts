import { spawn } from 'node:child_process';
import type { Place } from './place.js';

/**
 * Reads until the demo is gone. Then what ran on the worker ends, and when cloud and service have ended too (the
 * kernel tells them), and Pulumi, which names the directory in its environment alone, the directory goes, and what was
 * mounted below it where this runs (a kept directory gets a copy of that). After an ordinary end there is nothing left
 * for it to do.
 */
const script = `
directory=$1; keep=$2
cat >/dev/null
[ -d "$directory" ] || exit 0
end_worker() {
  [ -s "$directory/worker-namespaces" ] || return 0
  for p in /proc/[0-9]*; do
    namespace=$(readlink "$p/ns/mnt" 2>/dev/null) || continue
    grep -qxF -- "$namespace" "$directory/worker-namespaces" && kill -9 "\${p#/proc/}" 2>/dev/null
  done
}
any_left() {
  for p in /proc/[0-9]*; do
    case "$(cat "$p/cmdline" "$p/environ" 2>/dev/null | tr '\\0' ' ')" in *"$directory/"*) return 0 ;; esac
  done
  return 1
}
n=0
while [ $n -lt 300 ]; do
  end_worker
  any_left || break
  n=$((n + 1)); sleep 0.4
done
while read -r _ at _; do
  case "$at" in "$directory"/*) ;; *) continue ;; esac
  [ "$keep" = yes ] && cp -a -- "$at" "$at-at-the-end"
  umount -l -- "$at"
done </proc/self/mounts
[ "$keep" = yes ] && exit 0
# What was writing when it was looked at may write once more.
n=0
while [ -e "$directory" ] && [ $n -lt 20 ]; do
  rm -rf -- "$directory"
  n=$((n + 1)); sleep 0.5
done
`;

/** Starts what cleans up if the demo is killed outright. Returns what ends it after an ordinary end. */
export const startJanitor = (place: Place, keep: boolean): (() => Promise<void>) => {
  const child = spawn('sh', ['-c', script, 'vmpool-demo-janitor', place.directory, keep ? 'yes' : 'no'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return async () => {
    child.kill('SIGKILL');
    await ended;
  };
};
