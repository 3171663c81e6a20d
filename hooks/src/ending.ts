import { lstatSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { asUser, runToEnd } from './as-user.js';
import type { WorkerConfig } from './config.js';
import { alive, bootId, leftovers, signalProcess, type ProcessId } from './processes.js';
import { releaseOf } from './attempt.js';
import type { ServiceClient } from './service-client.js';
import { removeLeaseFiles, runDirectory, stamps } from './spool/lease-files.js';
import type { AttemptRecord, Spool } from './spool/spool.js';

export interface EndingContext {
  readonly config: WorkerConfig;
  readonly spool: Spool;
  readonly client: ServiceClient;
  /** The installed job starter: run as the user, it also brings files back. */
  readonly starterProgram: string;
  readonly remainingMs: () => number;
  readonly say: (message: string) => void;
  /** The job's exit status of the session that an epilogue was told of. */
  readonly exit?: { readonly session: number; readonly status: number } | undefined;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A signal is only sent when `kill` returns: until the last of them is gone, for two seconds at most. */
async function gone(processes: readonly ProcessId[]): Promise<void> {
  const until = performance.now() + 2000;
  while (performance.now() < until && processes.some(alive)) await sleep(20);
}

/**
 * Ends one start of a job. Each step may be repeated and each may find its work done, so that a second epilogue, or
 * the sync after a killed one, simply does it all again. True: nothing is left to do.
 */
export async function endAttempt(context: EndingContext, given: AttemptRecord): Promise<boolean> {
  const { spool, config } = context;
  const record = await spool.locked(given.job, 5000, () => {
    const now = spool.read(given.job, given.starter) ?? given;
    if (now.state === 'ended') return now;
    const ending: AttemptRecord = { ...now, state: 'ending' };
    spool.write(ending);
    return ending;
  });
  if (record.state === 'ended') return true;
  const directory = spool.attemptDirectory(record.job, record.starter);
  // First the starter, so that it cannot go on to run the job; only then the prologue, whose end it waits for.
  const here = record.boot === bootId();
  if (here) {
    signalProcess(record.starter, 'SIGKILL');
    if (signalProcess(record.prologue, 'SIGTERM')) {
      await gone([record.prologue]);
      signalProcess(record.prologue, 'SIGKILL');
    }
  }
  let holdFor: string | null = null;
  if (!record.superseded && record.lease !== null && !config.sharedHome) {
    const failed = await bringFilesBack(context, record, directory);
    if (failed !== null) {
      holdFor = `files of job ${record.job} (${record.user}) could not be copied back: ${failed}`.slice(
        0,
        1000,
      );
      const text = `the files of job ${record.job} could not be copied back from ${failed}. They are kept there: the VM is held until your operator has fetched them and gives it back`;
      context.say(text);
      spool.leaveMessage(record.job, `${text}\n`, record);
    }
  }
  // Start 0: its prologue had not come as far as to ask.
  const released = record.start === 0 || (await release(context, record, holdFor));
  if (record.start > 0) {
    const left = leftovers(record.uid, directory);
    for (const each of left) signalProcess(each, 'SIGKILL');
    await gone(left);
    await removeRun(record, directory);
  }
  removeLeaseFiles(directory, preparedFiles(config));
  if (!released) return false;
  await spool.locked(record.job, 5000, () => spool.write({ ...record, state: 'ended' }));
  return true;
}

const preparedFiles = (config: WorkerConfig): string[] =>
  config.credentials.map((_, index) => `credential-${index}`);

async function bringFilesBack(
  context: EndingContext,
  record: AttemptRecord,
  directory: string,
): Promise<string | null> {
  // Its content is the user's by now, and for the user's process alone to read.
  const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  if (!isThere(join(directory, 'lease', 'lease.json'))) return null;
  // Nearly always the starter has done it, or there was nothing to do. Both stamps are the user's: who forges one keeps
  // their own files away. The helper looks again; not to start it saves half of an epilogue's time.
  const run = runDirectory(directory);
  if (!isThere(join(run, stamps.copiedIn)) || isThere(join(run, stamps.copiedBack))) return null;
  const limitMs = Math.max(5000, context.remainingMs() - 20_000);
  const [command, args] = asUser(record, [
    process.execPath,
    context.starterProgram,
    '--vmpool-bring-back',
    directory,
    String(limitMs),
  ]);
  const env = { PATH: '/usr/bin:/bin', ...configVariable() };
  const outcome = await runToEnd(command, args, { limitMs: limitMs + 5000, env });
  return outcome.code === 0 ? null : outcome.stderr || `ended with ${outcome.code ?? 'a signal'}`;
}

const configVariable = (): NodeJS.ProcessEnv => {
  const path = process.env['VMPOOL_WORKER_CONFIG'];
  return path === undefined ? {} : { VMPOOL_WORKER_CONFIG: path };
};

/** False: the service could not be reached; the record stays, and the sync tries again. */
async function release(
  context: EndingContext,
  record: AttemptRecord,
  holdFor: string | null,
): Promise<boolean> {
  const told = context.exit;
  // Session 0 is of a job that never began, whatever of it is found.
  const isOurs = told !== undefined && (told.session === 0 || told.session === record.starter.pid);
  const exit = isOurs && !record.superseded ? told.status : undefined;
  for (let pauseMs = 200; ; pauseMs = Math.min(pauseMs * 2, 5000)) {
    const rest = context.remainingMs() - 5000;
    const answer = await context.client.release(
      {
        ...{ ...releaseOf(record), reason: 'job ended' },
        ...(holdFor === null ? {} : { holdFor }),
        ...(exit === undefined ? {} : { exit }),
      },
      Math.max(1000, Math.min(10_000, rest)),
    );
    if (answer.kind === 'done') return true;
    if (answer.kind === 'problem') {
      // It holds nothing for this start of the job, or would not let us end it: trying again changes neither.
      if (answer.code !== 'not-found' && answer.code !== 'stale-attempt')
        context.say(
          `the service refused to end the lease of job ${record.job} (${answer.code}): ${answer.detail}`,
        );
      return answer.status !== 401 && answer.status !== 403;
    }
    if (rest < pauseMs + 1000 || rest < context.config.epilogueLimitMs - 30_000) {
      context.say(`the lease of job ${record.job} will be ended later: ${answer.why}`);
      return false;
    }
    await sleep(pauseMs);
  }
}

/** `run/` is the user's: they remove what is in it, and root only the empty directory. */
async function removeRun(record: AttemptRecord, directory: string): Promise<void> {
  const run = runDirectory(directory);
  const script = 'cd -- "$1" 2>/dev/null && chmod -R u+rwX . && find . -mindepth 1 -delete';
  const [command, args] = asUser(record, ['/bin/sh', '-c', script, 'sh', run]);
  await runToEnd(command, args, { limitMs: 10_000 });
  try {
    rmdirSync(run);
  } catch {
    // Not there, or the user still writes into it: the sync comes again.
  }
}
