import { stat, unlink } from 'node:fs/promises';
import { z } from 'zod';
import type { Note } from '../pool/book.js';
import { openHistory } from '../store/history.js';
import { historyFiles, linesOf } from '../store/history-read.js';

/** One lease that has ended. Times in milliseconds since 1970. */
export const usageLine = z.object({
  /** When it ended. */
  at: z.number(),
  lease: z.string(),
  job: z.string(),
  jobName: z.string(),
  user: z.string(),
  queue: z.string(),
  worker: z.string(),
  vm: z.string(),
  flavor: z.string(),
  processors: z.number(),
  askedAt: z.number(),
  grantedAt: z.number(),
  /** Why it ended, in words. */
  reason: z.string(),
});
export type UsageLine = z.infer<typeof usageLine>;

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
  append(line: UsageLine): void;
  /** Every line that ended from `since` on and before `until`, oldest first. */
  read(since: number, until: number, signal: AbortSignal): AsyncIterable<UsageLine>;
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
      history.append({ kind: 'lease', ...line });
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

const parsed = (text: string): UsageLine | null => {
  try {
    const line = usageLine.safeParse(JSON.parse(text));
    return line.success ? line.data : null;
  } catch {
    // A line that a crash cut off.
    return null;
  }
};
