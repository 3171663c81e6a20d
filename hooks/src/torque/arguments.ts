/** What a mom tells its hooks. Facts: docs/reference/hooks.md. */

export interface PrologueArguments {
  readonly job: string;
  readonly user: string;
  readonly jobName: string;
  /** Seconds, from the resource list; null when the job has no limit. */
  readonly walltimeSeconds: number | null;
  readonly queue: string;
  readonly script: string;
}

export interface EpilogueArguments {
  readonly job: string;
  readonly user: string;
  /** 0: the job never started. */
  readonly session: number;
  readonly exitCode: string;
}

export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

const jobIdForm = /^[A-Za-z0-9][A-Za-z0-9._[\]-]{0,254}$/;
const userForm = /^[a-z_][a-z0-9_.-]{0,31}$/i;

/** `walltime=01:00:00` (or plain seconds, or days first) within a resource list like `nodes=1:ppn=2,walltime=...`. */
export function walltimeOf(resources: string): number | null {
  const found = /(?:^|,)walltime=([0-9:]+)/.exec(resources);
  if (!found?.[1]) return null;
  const weights = [1, 60, 3600, 86_400];
  return found[1]
    .split(':')
    .reverse()
    .reduce((sum, part, index) => sum + Number(part) * (weights[index] ?? 0), 0);
}

function common(args: readonly string[]): Parsed<{ job: string; user: string }> {
  const [job = '', user = ''] = args;
  if (!jobIdForm.test(job)) return { ok: false, why: `first argument is no job id: ${JSON.stringify(job)}` };
  if (!userForm.test(user)) return { ok: false, why: `second argument is no user: ${JSON.stringify(user)}` };
  return { ok: true, value: { job, user } };
}

export function parsePrologueArguments(args: readonly string[]): Parsed<PrologueArguments> {
  const first = common(args);
  if (!first.ok) return first;
  const [, , , jobName = '', resources = '', queue = '', , script = ''] = args;
  return {
    ok: true,
    value: { ...first.value, jobName, walltimeSeconds: walltimeOf(resources), queue, script },
  };
}

export function parseEpilogueArguments(args: readonly string[]): Parsed<EpilogueArguments> {
  const first = common(args);
  if (!first.ok) return first;
  const session = Number(args[4] ?? '0');
  return {
    ok: true,
    value: {
      ...first.value,
      session: Number.isInteger(session) && session > 0 ? session : 0,
      exitCode: args[9] ?? '',
    },
  };
}

/** Processors of this node that the job has: PBS_NUM_PPN, else PBS_NP, else one. */
export function processorsOf(env: NodeJS.ProcessEnv): number {
  for (const name of ['PBS_NUM_PPN', 'PBS_NP']) {
    const count = Number(env[name] ?? '');
    if (Number.isInteger(count) && count >= 1) return count;
  }
  return 1;
}

/** Array jobs are `28[0].server` to the hooks and `28-0.server` in file names. */
export function jobOfFileName(name: string): string {
  return name.replace(/^(\d+)-(\d+)(?=\.|$)/, '$1[$2]');
}
