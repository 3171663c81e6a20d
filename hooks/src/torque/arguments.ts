/** What a mom tells its hooks. Facts: docs/reference/hooks.md. */

export interface PrologueArguments {
  readonly job: string;
  readonly user: string;
  readonly jobName: string;
  /** Seconds, from the resource list; null when the job has no limit. */
  readonly walltimeSeconds: number | null;
  /** The resource list as Torque gives it: `nodes=1:ppn=2:big,mem=4gb,walltime=01:00:00`. */
  readonly resources: string;
  readonly queue: string;
  readonly script: string;
}

export interface EpilogueArguments {
  readonly job: string;
  readonly user: string;
  /** 0: the job never started. */
  readonly session: number;
  /** The job's exit status; null where Torque tells none. */
  readonly exitStatus: number | null;
}

export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

const jobIdForm = /^[A-Za-z0-9][A-Za-z0-9._[\]-]{0,254}$/;
const userForm = /^[a-z_][a-z0-9_.-]{0,31}$/i;

/** Seconds of a time as Torque writes it: `[[hh:]mm:]ss`, days first where there are four. Digits and colons only. */
export function clockSeconds(text: string): number {
  const weights = [1, 60, 3600, 86_400];
  return text
    .split(':')
    .reverse()
    .reduce((sum, part, index) => sum + Number(part) * (weights[index] ?? 0), 0);
}

/** `walltime=01:00:00` (or plain seconds, or days first) within a resource list like `nodes=1:ppn=2,walltime=...`. */
export function walltimeOf(resources: string): number | null {
  const found = /(?:^|,)walltime=([0-9:]+)/.exec(resources);
  return found?.[1] === undefined ? null : clockSeconds(found[1]);
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
    value: { ...first.value, jobName, walltimeSeconds: walltimeOf(resources), resources, queue, script },
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
      exitStatus: /^-?\d{1,4}$/.test(args[9] ?? '') ? Number(args[9]) : null,
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

/** The value of one resource in such a list; values of Torque's own have no commas. */
export function resourceOf(resources: string, name: string): string | null {
  return new RegExp(`(?:^|,)${name}=([^,]*)`).exec(resources)?.[1] ?? null;
}

const sizeForm = /^(\d{1,15})([kmgtp]?)([bw]?)$/i;
const wordBytes = 8;

/** A size as Torque takes it: `4gb`, `512mb`, `1048576`, `2gw` (words of eight bytes). Null for anything else. */
export function sizeOf(text: string): number | null {
  const found = sizeForm.exec(text.trim());
  if (found === null) return null;
  const [, digits = '', unit = '', base = ''] = found;
  const power = ['', 'k', 'm', 'g', 't', 'p'].indexOf(unit.toLowerCase());
  const bytes = Number(digits) * 1024 ** power * (base.toLowerCase() === 'w' ? wordBytes : 1);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
}

/** Bytes of memory that the job asks for on its node: `mem`, or `pmem` for each of its processors; the larger. */
export function memoryOf(resources: string, processors: number): number | null {
  const [whole, each] = ['mem', 'pmem'].map((name) => sizeOf(resourceOf(resources, name) ?? ''));
  const asked = Math.max(whole ?? 0, (each ?? 0) * processors);
  return asked > 0 && Number.isSafeInteger(asked) ? asked : null;
}

/** Words of a node request that name no property: how a job shares the node's GPUs. */
const gpuModes = new Set([
  'default',
  'shared',
  'exclusive',
  'exclusive_thread',
  'exclusive_process',
  'reseterr',
]);
const featureForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const mostFeatures = 64;

/**
 * Properties of a node that the job asks for: `big` and `ssd` of `nodes=1:ppn=4:big:ssd`. The first part is how many
 * nodes, or a node's name, or a property for one node. `hosts` are the names of this node.
 */
export function featuresOf(resources: string, hosts: readonly string[]): readonly string[] {
  const text = resourceOf(resources, 'nodes') ?? resourceOf(resources, 'neednodes') ?? '';
  const [node = ''] = text.split(/[+#]/);
  const short = (name: string): string => name.toLowerCase().replace(/\..*$/, '');
  const own = new Set(hosts.map(short));
  const found = node
    .split(':')
    .filter(
      (part, index) =>
        featureForm.test(part) && !(index === 0 && (/^\d+$/.test(part) || own.has(short(part)))),
    )
    .filter((part) => !gpuModes.has(part.toLowerCase()));
  return [...new Set(found)].slice(0, mostFeatures);
}

/** Array jobs are `28[0].server` to the hooks and `28-0.server` in file names. */
export function jobOfFileName(name: string): string {
  return name.replace(/^(\d+)-(\d+)(?=\.|$)/, '$1[$2]');
}
