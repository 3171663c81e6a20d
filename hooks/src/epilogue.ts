import type { AttemptRecord } from './spool/spool.js';
import type { EpilogueArguments } from './torque/arguments.js';
import { endAttempt, type EndingContext } from './ending.js';
import { statOf } from './processes.js';

/**
 * Which starts of the job this epilogue is for. With a session id: that one and whatever is older. Without (the
 * job never started): every one that began before this epilogue did, because a newer start may already be at
 * work beside us.
 */
export function attemptsToEnd(
  attempts: readonly AttemptRecord[],
  session: number,
  boot: string,
  selfTicks: number,
): AttemptRecord[] {
  const live = attempts.filter((attempt) => attempt.state !== 'ended');
  const older = (attempt: AttemptRecord): boolean => attempt.boot !== boot;
  const own = live.filter((attempt) => attempt.boot === boot && attempt.starter.pid === session);
  const newest = own.at(-1)?.starter.ticks;
  const until = newest ?? selfTicks;
  return live.filter((attempt) => older(attempt) || attempt.starter.ticks <= until);
}

/** Idempotent; safe beside a second copy of itself and beside a live prologue. */
export async function epilogue(context: EndingContext, args: EpilogueArguments, boot: string): Promise<void> {
  const { spool, client } = context;
  const selfTicks = statOf('self')?.ticks ?? 0;
  const known = spool.attempts(args.job);
  if (known.length === 0) {
    // No prologue of ours wrote anything down, so none asked; unless the spool was lost.
    await client.release({ job: args.job, reason: 'job ended; the worker has no record of it' }, 5000);
    return;
  }
  const held = await spool.lockEnding(args.job, Math.max(1000, context.remainingMs() - 5000));
  // Another copy is still at it: what it does not finish, the sync does.
  if (held === null) return;
  try {
    for (const attempt of attemptsToEnd(spool.attempts(args.job), args.session, boot, selfTicks))
      await endAttempt(context, attempt);
  } finally {
    held.release();
  }
}
