import { execFile } from 'node:child_process';

export interface JobFacts {
  /** Grows with every start of the job: what orders its attempts. */
  readonly startCount: number;
  readonly variables: ReadonlyMap<string, string>;
}

/**
 * Reads `qstat -f` output: `name = value` lines, long values continued on lines that begin with a tab.
 * Null when there is no start count in it.
 */
export function parseQstat(text: string): JobFacts | null {
  const attributes = new Map<string, string>();
  let last: string | null = null;
  for (const line of text.split('\n')) {
    const continued = /^\t(.*)$/.exec(line);
    const field = /^ {4}([A-Za-z_][\w.]*) = (.*)$/.exec(line);
    if (continued && last !== null) attributes.set(last, (attributes.get(last) ?? '') + (continued[1] ?? ''));
    else if (field?.[1]) {
      last = field[1];
      attributes.set(last, field[2] ?? '');
    }
  }
  const counts = ['start_count', 'run_count'].map((name) => attributes.get(name));
  const count = Number(counts.find((value) => value !== undefined) ?? NaN);
  if (!Number.isInteger(count) || count < 0) return null;
  const variables = new Map<string, string>();
  for (const part of (attributes.get('Variable_List') ?? '').split(/,(?=[A-Za-z_][\w]*=)/)) {
    const at = part.indexOf('=');
    if (at > 0) variables.set(part.slice(0, at), part.slice(at + 1));
  }
  return { startCount: count, variables };
}

function run(
  command: string,
  args: readonly string[],
  limitMs: number,
): Promise<{ out: string; why: string | null }> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...args],
      {
        timeout: Math.max(1, Math.round(limitMs)),
        killSignal: 'SIGKILL',
        maxBuffer: 16 * 1024 * 1024,
        encoding: 'utf8',
      },
      (error, out, err) => resolve({ out, why: error === null ? null : err.trim() || error.message }),
    );
  });
}

export async function askQstat(
  qstat: string,
  job: string,
  limitMs: number,
): Promise<{ ok: true; facts: JobFacts } | { ok: false; why: string }> {
  const { out, why } = await run(qstat, ['-f', job], limitMs);
  if (why !== null) return { ok: false, why: `${qstat} -f ${job}: ${why}` };
  const facts = parseQstat(out);
  return facts === null ? { ok: false, why: `${qstat} -f ${job} shows no start_count` } : { ok: true, facts };
}

/** Holds the job for the operator (`-h s`): without it a requeued job is started again at once, without limit. */
export async function hold(qhold: string, job: string, limitMs: number): Promise<string | null> {
  return (await run(qhold, ['-h', 's', job], limitMs)).why;
}

export async function unhold(qrls: string, job: string, limitMs: number): Promise<string | null> {
  return (await run(qrls, ['-h', 's', job], limitMs)).why;
}
