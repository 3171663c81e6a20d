import { setTimeout as sleep } from 'node:timers/promises';
import type { JobResult, JobState } from '../../test/mom/job.js';
import type { Journal } from './journal.js';
import type { Acting, DemoJob } from './load.js';
import type { DemoWorker } from './worker.js';

/** Longest that the whole load may take on the embedded cloud, milliseconds. */
const usualLimitMs = 180_000;

/** One submitted job, as the view and the final table show it. */
export interface PlayedJob {
  readonly id: string;
  readonly job: DemoJob;
  readonly submittedAt: number;
  /** Null until it is over. */
  outcome: {
    readonly result: JobResult | null;
    readonly problems: readonly string[];
    readonly at: number;
  } | null;
}

/** In words what a job does now. */
export const phaseOf = (played: PlayedJob, state: JobState, journal: Journal): string => {
  if (played.outcome !== null) return played.outcome.problems.length === 0 ? 'done' : 'WRONG';
  const vm = journal.vmOf(played.id);
  switch (state) {
    case 'queued':
      return 'queued in Torque';
    case 'held':
      return 'held';
    case 'starting':
    case 'running':
      return vm === null ? 'waits for a VM' : 'runs';
    case 'ending':
      return 'ends';
    case 'complete':
      return 'over';
  }
};

/** Submits the whole load at once. */
export const submitAll = (load: readonly DemoJob[], worker: DemoWorker): readonly PlayedJob[] =>
  load.map((job) => ({
    id: worker.mom.submit({ user: job.user, ...job.submission }),
    job,
    submittedAt: Date.now(),
    outcome: null,
  }));

/** How often is looked whether something holds, milliseconds. */
const lookEveryMs = 30;

/** Lets the acts happen and waits for the end of every job. Rejects only when the signal fires. */
export const playOut = async (
  jobs: readonly PlayedJob[],
  worker: DemoWorker,
  killVmOf: Acting['killVmOf'],
  signal: AbortSignal,
  onEnd: (job: PlayedJob) => void,
  limitMs = usualLimitMs,
): Promise<void> => {
  const end = performance.now() + limitMs;
  const until = async (holds: () => boolean, what: string): Promise<void> => {
    while (!holds()) {
      if (performance.now() > end)
        throw new Error(`${what} did not happen within ${String(limitMs / 1000)} s`);
      await sleep(lookEveryMs, undefined, { signal });
    }
  };
  const acting: Acting = { mom: worker.mom, until, killVmOf };
  await Promise.all(
    jobs.map(async (played) => {
      const outcome = await outcomeOf(played, worker, acting);
      signal.throwIfAborted();
      played.outcome = outcome;
      onEnd(played);
    }),
  );
};

const outcomeOf = async (
  { id, job }: PlayedJob,
  worker: DemoWorker,
  acting: Acting,
): Promise<NonNullable<PlayedJob['outcome']>> => {
  const { mom } = worker;
  const acted = (job.act?.(id, acting) ?? Promise.resolve()).then(
    () => [],
    (error: unknown) => [firstLine(error)],
  );
  try {
    await acting.until(() => ['complete', 'held'].includes(mom.state(id)), 'its end');
    const at = Date.now();
    const result = await mom.finished(id);
    return { result, problems: [...(await acted), ...job.judge(result, worker)], at };
  } catch (error) {
    return { result: null, problems: [`${firstLine(error)}; it is ${mom.state(id)}`], at: Date.now() };
  }
};

const firstLine = (error: unknown): string =>
  ((error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '').slice(0, 300);
