import type { DemoWorker, UserName } from '../../src/demo/worker.js';
import type { Random } from '../sim/random.js';

/** A job as chaos knows it: its key says which worker has it and which of that worker's it is. */
export interface ChaosJob {
  readonly key: string;
  readonly worker: string;
  /** Torque's id of it, the same on several workers. */
  readonly id: string;
  readonly directory: string;
}

const users: readonly UserName[] = ['alice', 'bob', 'carol'];

/** Longest that a job waits to be seen, tenths of a second. */
const seenWithin = 1200;

/**
 * The job's script. Its work begins only when the witness has put this execution on record, and it ends only when
 * the end is on record too: what is not on record has done nothing. The file through which it asks lies in /tmp, so
 * that the scrub takes it away; CHAOS_RUN in the environment shows whether it still lives.
 */
export const jobScript = (key: string, tenths: number): string => `#!/bin/bash
if [ -z "\${CHAOS_RUN:-}" ]; then
  read -r CHAOS_RUN < /proc/sys/kernel/random/uuid
  export CHAOS_RUN
  exec bash "$0" "$@"
fi
f=/tmp/chaos-$CHAOS_RUN
ask() {
  echo "$1 ${key}" > "$f.new" && mv -f "$f.new" "$f" || exit 70
  for ((i = 0; i < ${String(seenWithin)}; i++)); do
    said=; read -r said < "$f"
    [ "$said" = "yes $1" ] && return
    sleep 0.1
  done
  echo "nobody saw the $1 of this job" >&2
  exit 71
}
ask begin
cd "$PBS_O_WORKDIR" || exit 72
for ((t = 0; t < ${String(tenths)}; t++)); do sleep 0.1; done
echo "$CHAOS_RUN" > result.txt
echo "worked $CHAOS_RUN"
ask done
rm -f "$f"
exit 0
`;

/** Submits one more job to that worker. */
export const submitJob = (worker: DemoWorker, name: string, number: number, random: Random): ChaosJob => {
  const user = random.pick(users) ?? 'alice';
  const key = `${name}/${String(number)}`;
  const directory = worker.directory(user, `job-${String(number)}`, { 'input.txt': `${key}\n` });
  const id = worker.mom.submit({
    user,
    name: `chaos-${String(number)}`,
    script: jobScript(key, random.between(2, 60)),
    workDirectory: directory,
  });
  return { key, worker: name, id, directory };
};
