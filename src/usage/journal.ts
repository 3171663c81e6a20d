import { stat, unlink } from 'node:fs/promises';
import { z } from 'zod';
import type { Note } from '../pool/book.js';
import { exitCodeOf, jobEnds } from '../pool/measured.js';
import { openHistory } from '../store/history.js';
import { historyFiles, linesOf } from '../store/history-read.js';

/** What is summed up by, in each line, so that no other must be looked for. */
const whose = {
  /** When the lease ended. */
  at: z.number(),
  lease: z.string(),
  job: z.string(),
  user: z.string(),
  queue: z.string(),
  worker: z.string(),
  vm: z.string(),
  flavor: z.string(),
  processors: z.number(),
};

/** One lease that has ended. Times in milliseconds since 1970. */
export const usageLine = z.object({
  ...whose,
  jobName: z.string(),
  askedAt: z.number(),
  grantedAt: z.number(),
  /** Why it ended, in words. */
  reason: z.string(),
});
export type UsageLine = z.infer<typeof usageLine>;

/**
 * What a job used on its VM: a line of its own, because the VM is asked after the lease has ended, and by then the
 * service may have been started anew.
 */
export const jobLine = z.object({
  ...whose,
  end: z.enum(jobEnds),
  /** The job's exit code, or Torque's exit status where the VM told none. */
  exit: z.number().nullable(),
  /** Null: not measured. */
  measured: z.object({ cpuSeconds: z.number(), memoryBytes: z.number(), wallSeconds: z.number() }).nullable(),
});
export type JobLine = z.infer<typeof jobLine>;
export type AccountLine = UsageLine | JobLine;

/** The job's line for a note of the core; null for every other note. Pure. */
export const jobLineOf = ({ lease, job, worker, member, spent }: Note): JobLine | null => {
  if (spent === undefined) return null;
  const { at, user, queue, processors, flavor, end, measured } = spent;
  const { cpuSeconds = 0, memoryBytes = 0, wallSeconds = 0 } = measured ?? {};
  return {
    ...{ at, lease: lease ?? '', job: job ?? '', user, queue, worker: worker ?? '', vm: member ?? '' },
    ...{ flavor, processors, end, exit: exitCodeOf(spent, measured) },
    measured: measured === null ? null : { cpuSeconds, memoryBytes, wallSeconds },
  };
};

/** The line for a note of the core; null for every note that is no end of a lease. Pure. */
export const lineOf = ({
  kind,
  at,
  lease,
  job,
  user,
  queue,
  worker,
  member,
  used,
  detail,
}: Note): UsageLine | null =>
  kind !== 'lease-ended' || used === undefined
    ? null
    : {
        ...{ at, lease: lease ?? '', job: job ?? '', user: user ?? '', queue: queue ?? '' },
        ...{ worker: worker ?? '', vm: member ?? '', ...used, reason: detail },
      };

export interface UsageJournal {
  append(line: AccountLine): void;
  /** Every line of a lease that ended from `since` on and before `until`, in the order in which they were written. */
  read(since: number, until: number, signal: AbortSignal): AsyncIterable<AccountLine>;
  close(): Promise<void>;
}

/** Files beside the one that is written. */
const files = 8;
const day = 86_400_000;

/**
 * The account of ended leases: lines in rotated files, as the history, but of its own size and age, so that a talkative
 * pool does not shorten it. Written after the book's commit, without a sync of its own: a machine that loses its power
 * in that moment can lose the last lines.
 */
export const openUsage = async (options: {
  readonly dir: string;
  /** Of all files together, bytes. */
  readonly size: number;
  readonly keepMs: number;
  readonly now: () => number;
  readonly onWarning: (message: string) => void;
}): Promise<UsageJournal> => {
  const { dir, size, keepMs, now, onWarning } = options;
  const history = await openHistory({ dir, maxBytes: Math.ceil(size / (files + 1)), keep: files, onWarning });
  let forgottenAt = 0;
  /** A rotated file whose last line is too old holds nothing that is told. */
  const forget = async (): Promise<void> => {
    forgottenAt = now();
    for (const path of (await historyFiles(dir)).slice(0, -1))
      if ((await stat(path)).mtimeMs < now() - keepMs) await unlink(path);
  };
  const forgetSafely = (): Promise<void> =>
    forget().catch((error: unknown) =>
      onWarning(`old usage in ${dir} could not be deleted: ${String(error)}`),
    );
  await forgetSafely();
  return {
    append: (line) => {
      history.append({ kind: isJobLine(line) ? 'job' : 'lease', ...line });
      if (now() - forgottenAt > day) void forgetSafely();
    },
    async *read(since, until, signal) {
      const from = Math.max(since, now() - keepMs);
      for (const path of await historyFiles(dir))
        for await (const text of linesOf(path, signal)) {
          const line = parsed(text);
          if (line !== null && line.at >= from && line.at < until) yield line;
        }
    },
    close: () => history.close(),
  };
};

export const isJobLine = (line: AccountLine): line is JobLine => 'end' in line;

const parsed = (text: string): AccountLine | null => {
  try {
    const json: unknown = JSON.parse(text);
    const isJob = typeof json === 'object' && json !== null && 'kind' in json && json.kind === 'job';
    const line = (isJob ? jobLine : usageLine).safeParse(json);
    return line.success ? line.data : null;
  } catch {
    // A line that a crash cut off.
    return null;
  }
};
