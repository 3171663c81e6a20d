import { spawn } from 'node:child_process';
import type { Place } from './place.js';

/**
 * Reads until the demo is gone. Then what ran on the worker ends, and when cloud and service have ended too (the
 * kernel tells them), and Pulumi, which names the directory in its environment alone, the directory goes, with the
 * workers' mount points and what was mounted below it where this runs (a kept directory gets a copy of that). After
 * an ordinary end there is nothing left for it to do.
 *
 * Processes of a worker are told by what is mounted for them, and not by the number of their namespace: the kernel
 * gives a number that is free again to the next one, which may be a VM's.
 */
export const janitorScript = `
directory=$1; keep=$2
cat >/dev/null
[ -d "$directory" ] || exit 0
end_worker() {
  [ -s "$directory/worker-sandboxes" ] || return 0
  for file in $(grep -lsFf "$directory/worker-sandboxes" /proc/[0-9]*/mountinfo); do
    file=\${file%/mountinfo}
    kill -9 "\${file#/proc/}" 2>/dev/null
  done
}
# The pattern is no argument, which would be found in the command line of who looks for it.
any_left() {
  printf '%s/' "$directory" | grep -qsFf - /proc/[0-9]*/cmdline /proc/[0-9]*/environ
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
while read -r sandbox; do
  rmdir -- "$sandbox"
done 2>/dev/null <"$directory/worker-sandboxes"
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
  const child = spawn(
    'sh',
    ['-c', janitorScript, 'vmpool-demo-janitor', place.directory, keep ? 'yes' : 'no'],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
    },
  );
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return async () => {
    child.kill('SIGKILL');
    await ended;
  };
};
