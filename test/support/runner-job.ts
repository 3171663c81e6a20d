import { runner } from '../../hooks/src/remote/runner.js';
import { shellWord } from '../../src/guest/quote.js';

/** A script, for `bash -s` of the job's user, that runs a job as the hooks do: by their runner, in a task's directory. */
export const runnerJob = (script: string): string => `
d=$(mktemp -d) && t=$d/task && mkdir "$t" || exit 70
printf '%s\\0' /bin/bash -c ${shellWord(script)} > "$t/arguments"
printf 'PATH=%s\\0' "$PATH" > "$t/environment"
echo "$HOME" > "$t/home"
echo ${Buffer.from(runner).toString('base64')} | base64 -d > "$d/runner"
exec bash "$d/runner" "$t" 022 job 0 < /dev/null
`;
