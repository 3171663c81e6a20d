import { readlinkSync, rmSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { startJanitor } from '../../src/demo/janitor.js';
import { leftOnMachine, lookAtMachine } from '../../src/demo/leftovers.js';
import type { Place } from '../../src/demo/place.js';
import { demoUids } from '../../src/demo/worker.js';
import type { EndEvidence, Evidence } from './evidence.js';
import { judge, type Verdict } from './judge.js';
import { planOf } from './plan.js';
import { runChaos, type Progress, type Seen } from './run.js';
import { openSite, preparePlace } from './site.js';

/**
 * `make chaos`: kills real processes at random moments while jobs of two workers run, and looks afterwards whether
 * anything was lost. Run in a mount namespace of its own (docs/reference/testing.md); the last line of its output is
 * `chaos: N checks passed, N failed`.
 */

const progressEveryMs = 10_000;
/** A service may take a minute to be killed; what takes longer is left to the look at the machine, which names it. */
const closeLimitMs = 90_000;

const numberOf = (text: string | undefined, otherwise: number): number => {
  if (text === undefined || text === '') return otherwise;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`not a number: ${text}`);
  return number;
};

/** Whether its mount namespace is another than its parent's; one whose parent cannot be looked at does not know. */
function hasOwnMounts(): boolean {
  try {
    return readlinkSync('/proc/self/ns/mnt') !== readlinkSync(`/proc/${String(process.ppid)}/ns/mnt`);
  } catch {
    return false;
  }
}

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  });
  const kills = numberOf(values.kills, 200);
  const seed = numberOf(values.seed, Math.floor(Math.random() * 2 ** 31));
  if (process.getuid?.() !== 0) return refuse('chaos needs root: its cloud makes machines in namespaces');
  if (!hasOwnMounts())
    return refuse('chaos mounts a file system to fill it, in a mount namespace of its own: use make chaos');

  const began = performance.now();
  const say = (text: string): void =>
    console.log(`[chaos ${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s] ${text}`);
  const progress: Progress = {
    ...{ kills: 0, byVictim: {}, faults: [], retired: 0, submitted: 0, over: 0, phase: 'setting up' },
  };
  say(
    `seed ${String(seed)}, ${String(kills)} kills (again: make chaos SEED=${String(seed)} KILLS=${String(kills)})`,
  );
  const ticking = setInterval(
    () =>
      say(
        `${String(progress.kills)} kills, ${String(progress.faults.length)} faults, ` +
          `${String(progress.over)} of ${String(progress.submitted)} jobs over; ${progress.phase}`,
      ),
    progressEveryMs,
  );
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));

  const before = lookAtMachine();
  const place = await preparePlace();
  const endJanitor = startJanitor(place, values.keep);
  const closers: (() => Promise<void>)[] = [];
  let seen: Seen;
  try {
    const site = await openSite(place, closers, interrupted.signal);
    say('cloud, service and two workers are up');
    const plan = planOf(seed, kills);
    seen = await runChaos(site, { seed, plan, say, progress, signal: interrupted.signal });
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    seen = { jobs: [], runs: [], faults: progress.faults, end: null, trouble: [text] };
  }
  progress.phase = 'cleaning up';
  for (const close of closers.reverse())
    await withinLimit(close()).catch((error: unknown) => say(`cleaning up: ${String(error)}`));
  await endJanitor();
  await unmountState(place);
  const left = await leftOnMachine(place.directory, before, demoUids, [process.pid]);
  clearInterval(ticking);
  const evidence: Evidence = { ...seen, end: endOf(seen.end, left) };
  const verdict = judge(evidence);
  const failed = verdict.checks.filter(({ wrong }) => wrong.length > 0);
  if (values.keep || failed.length > 0) say(`kept, with logs and state: ${place.directory}`);
  else rmSync(place.directory, { recursive: true, force: true });
  report(verdict, progress, say);
  if (interrupted.signal.aborted) return 130;
  return failed.length === 0 ? 0 : 1;
};

const withinLimit = (closing: Promise<void>): Promise<void> =>
  Promise.race([
    closing,
    sleep(closeLimitMs, undefined, { ref: false }).then(() => {
      throw new Error(`a part of the site is not closed after ${String(closeLimitMs / 1000)} s`);
    }),
  ]);

const endOf = (end: Seen['end'], left: readonly string[]): EndEvidence | null =>
  end === null ? null : { ...end, leftOnMachine: left };

const refuse = (why: string): number => {
  console.error(why);
  return 2;
};

/** The state is copied out of the file system that goes away, for a look at it if something has failed. */
const unmountState = async (place: Place): Promise<void> => {
  const state = join(place.directory, 'state');
  const run = promisify(execFile);
  await run('cp', ['-a', state, `${state}-at-the-end`]);
  await run('umount', ['-l', state]);
};

const counts = (title: string, numbers: Readonly<Record<string, number>>): string =>
  `${title}: ${Object.entries(numbers)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, number]) => `${name} ${String(number)}`)
    .join(', ')}`;

const report = ({ checks, outcomes }: Verdict, progress: Progress, say: (text: string) => void): void => {
  const failed = checks.filter(({ wrong }) => wrong.length > 0);
  for (const { what, wrong } of failed) for (const text of wrong) say(`WRONG: ${what}: ${text}`);
  const faults: Record<string, number> = {};
  for (const { kind } of progress.faults) faults[kind] = (faults[kind] ?? 0) + 1;
  say(counts(`kills ${String(progress.kills)}`, progress.byVictim));
  say(counts(`faults ${String(progress.faults.length)}`, faults));
  say(`VMs retired by the operator, as the status asked: ${String(progress.retired)}`);
  say(counts(`jobs ${String(progress.submitted)}`, outcomes));
  console.log(
    `chaos: ${String(checks.length - failed.length)} checks passed, ${String(failed.length)} failed`,
  );
};

// What could not be closed must not keep this process.
process.exit(await main());
