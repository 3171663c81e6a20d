import type { AttemptRecord } from './spool/spool.js';
import type { EpilogueArguments } from './torque/arguments.js';
import { endAttempt, type EndingContext } from './ending.js';
import { alive, statOf } from './processes.js';

/**
 * Which starts of the job this epilogue is for. With a session id: that one and whatever is older; a copy that comes
 * late finds it ended already, and must not touch a newer one. Without (the job never started): every one that
 * began before this epilogue did, because a newer start may already be at work beside us.
 */
export function attemptsToEnd(
  attempts: readonly AttemptRecord[],
  session: number,
  boot: string,
  selfTicks: number,
  lives: (attempt: AttemptRecord) => boolean,
): AttemptRecord[] {
  const own = attempts.filter((attempt) => attempt.boot === boot && attempt.starter.pid === session).at(-1);
  return attempts.filter((attempt) => {
    if (attempt.state === 'ended') return false;
    if (attempt.boot !== boot) return true;
    if (session === 0) return attempt.starter.ticks <= selfTicks;
    // A session that nobody wrote down: what still lives is somebody else's.
    return own === undefined ? !lives(attempt) : attempt.starter.ticks <= own.starter.ticks;
  });
}

/** Idempotent; safe beside a second copy of itself and beside a live prologue. */
export async function epilogue(given: EndingContext, args: EpilogueArguments, boot: string): Promise<void> {
  const { session, exitStatus } = args;
  const context = exitStatus === null ? given : { ...given, exit: { session, status: exitStatus } };
  const { spool } = context;
  const lives = (attempt: AttemptRecord): boolean => alive(attempt.starter);
  const selfTicks = statOf('self')?.ticks ?? 0;
  // No prologue of ours wrote anything down, so none asked. Were the spool lost, the sync would end the lease: a release
  // that names no attempt could meet a newer one, which asks at this very moment.
  if (spool.attempts(args.job).length === 0) return;
  const held = await spool.lockEnding(args.job, Math.max(1000, context.remainingMs() - 5000));
  // Another copy is still at it: what it does not finish, the sync does.
  if (held === null) return;
  try {
    for (const attempt of attemptsToEnd(spool.attempts(args.job), args.session, boot, selfTicks, lives))
      await endAttempt(context, attempt);
  } finally {
    held.release();
  }
}
