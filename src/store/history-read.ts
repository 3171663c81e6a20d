import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const storedLine = z.object({
  at: z.number(),
  kind: z.string(),
  detail: z.string().default(''),
  member: z.string().optional(),
  lease: z.string().optional(),
  job: z.string().optional(),
  user: z.string().optional(),
  queue: z.string().optional(),
  worker: z.string().optional(),
  from: z.string().optional(),
  to: z.string().optional(),
  ms: z.number().optional(),
  decision: z.string().optional(),
  reason: z.string().optional(),
});
/** One line of the history as it was written. */
export type HistoryLine = z.infer<typeof storedLine>;

/** What is looked for. A job may be named without its server, as `qstat` does: `28` finds `28.server`. */
export interface HistoryWish {
  readonly vm?: string | undefined;
  readonly job?: string | undefined;
  /** Only this kind of decision, or `any` of them. */
  readonly decision?: string | undefined;
  /** The newest so many. */
  readonly most: number;
}

/** `28` is also `28.server`. */
export const isJob = (line: { readonly job?: string | null | undefined }, job: string): boolean =>
  line.job === job || line.job?.startsWith(`${job}.`) === true;

/** Does a line belong to the story? A lease's later lines name the lease alone, so that its id is remembered. */
function matcher({ vm, job }: HistoryWish): (line: HistoryLine) => boolean {
  const leases = new Set<string>();
  return (line) => {
    if (vm !== undefined && line.member !== vm) return false;
    if (job === undefined) return true;
    const { lease } = line;
    if (isJob(line, job)) {
      if (lease !== undefined) leases.add(lease);
      return true;
    }
    return lease !== undefined && leases.has(lease);
  };
}

/** Is it a decision of that kind, or of `any`, an operator's order included? Every line where none is wanted. */
export const isDecision = (
  { kind, decision }: { readonly kind: string; readonly decision?: string | undefined },
  wanted: string | undefined,
): boolean => {
  if (wanted === undefined) return true;
  return wanted === 'any' ? decision !== undefined || kind === 'order' : decision === wanted;
};
/** Can the text of a line be one for which that holds? */
const mayDecide = (text: string): boolean => text.includes('"decision":') || text.includes('"kind":"order"');

const parsed = (text: string): HistoryLine | null => {
  try {
    const line = storedLine.safeParse(JSON.parse(text));
    return line.success ? line.data : null;
  } catch {
    // A line that a crash cut off.
    return null;
  }
};

/** `history.jsonl` is the newest; the higher the number, the older. */
const fileNumber = (name: string): number | null => {
  if (name === 'history.jsonl') return 0;
  const number = /^history\.(\d+)\.jsonl$/.exec(name)?.[1];
  return number === undefined ? null : Number(number);
};

/** Paths of the files of a history, the oldest lines first. */
export async function historyFiles(dir: string): Promise<string[]> {
  return (await readdir(dir))
    .flatMap((name) => {
      const number = fileNumber(name);
      return number === null ? [] : [{ name, number }];
    })
    .sort((a, b) => b.number - a.number)
    .map(({ name }) => join(dir, name));
}

/** The lines of one file; none of one that is not there any more. */
export async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<string> {
  let rest = '';
  try {
    // Small pieces: between two of them the service answers others.
    for await (const piece of createReadStream(path, {
      encoding: 'utf8',
      highWaterMark: 128 * 1024,
      signal,
    })) {
      const lines = (rest + String(piece)).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    // Rotated away in this moment: what it held was the oldest.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  if (rest !== '') yield rest;
}

/**
 * The lines of the history in `dir` that belong to a VM or a job, oldest first. Lines that cannot be read are passed
 * over. Rejects when the directory cannot be read or the signal fires.
 */
export async function readHistory(
  dir: string,
  wish: HistoryWish,
  signal: AbortSignal,
): Promise<HistoryLine[]> {
  const files = await historyFiles(dir);
  const isWanted = matcher(wish);
  const found: HistoryLine[] = [];
  const everything = wish.vm === undefined && wish.job === undefined;
  // Reading JSON is what costs: a line that does not name the VM is not parsed. A job's later lines may name its lease only.
  const needle = wish.vm === undefined ? null : JSON.stringify(wish.vm);
  const hints = new Set<string>(wish.job === undefined ? [] : [JSON.stringify(wish.job).slice(0, -1)]);
  for (const path of files) {
    for await (const text of linesOf(path, signal)) {
      if (needle !== null && !text.includes(needle)) continue;
      if (!everything && needle === null && ![...hints].some((hint) => text.includes(hint))) continue;
      if (everything && wish.decision !== undefined && !mayDecide(text)) continue;
      const line = parsed(text);
      if (line === null || !isWanted(line)) continue;
      if (line.lease !== undefined && wish.job !== undefined) hints.add(JSON.stringify(line.lease));
      if (!isDecision(line, wish.decision)) continue;
      found.push(line);
      if (found.length > 2 * wish.most) found.splice(0, found.length - wish.most);
    }
  }
  return found.slice(-wish.most);
}
