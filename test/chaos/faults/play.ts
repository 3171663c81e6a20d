import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownEnvironment } from '../../../src/demo/parts.js';
import type { StatusView } from '../../../src/http/api.js';
import { repoRoot } from '../../../src/repo-root.js';
import { bookPath } from '../../../src/service/open-book.js';
import { statePath } from '../../../src/engine/state-copies.js';
import { decode } from '../../../src/store/envelope.js';
import { journalPath } from '../../../src/store/journal.js';
import type { Random } from '../../sim/random.js';
import type { FaultEvidence } from '../evidence.js';
import type { Fault } from '../plan.js';
import type { ChaosSite } from '../site.js';
import { isWhole, lockStack } from './backend.js';
import { fillDisk } from './disk.js';
import { cutWithinCommit, flipBit, truncate } from './store.js';

const hourMs = 3_600_000;
/** Time in which the service must come up, or must say that it will not. Generous: the machine may be busy. */
const startLimitMs = 90_000;
/** A fault that shows on the status when something is done about it; often nothing has to be. */
const noticedWithinMs = 12_000;

interface Played {
  readonly what: string;
  readonly wrong?: readonly string[];
}

/** Lets one fault happen, undoes what an operator would have to undo, and tells what the product did wrong. */
export const playFault = async (
  fault: Fault,
  site: ChaosSite,
  random: Random,
  signal: AbortSignal,
): Promise<FaultEvidence> => {
  const { what, wrong = [] } = await players[fault](site, random, signal);
  return { kind: fault, what, wrong };
};

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/** True as soon as the status of the service shows it. */
const noticed = async (
  site: ChaosSite,
  signal: AbortSignal,
  holds: (status: StatusView) => boolean,
  limitMs = noticedWithinMs,
): Promise<boolean> => {
  const end = performance.now() + limitMs;
  while (performance.now() < end && !signal.aborted) {
    const status = await site.client.status().catch(() => null);
    if (status !== null && holds(status)) return true;
    await pause(200, signal);
  }
  return false;
};

const diskFull = async (site: ChaosSite, random: Random, signal: AbortSignal): Promise<Played> => {
  const free = fillDisk(site.config.stateDir);
  try {
    const told = await noticed(site, signal, ({ problems }) => problems.some((text) => /space/.test(text)));
    const killed = random.chance(0.5) && site.service.kill();
    await pause(random.between(1000, 5000), signal);
    return {
      what: `${told ? 'it was told on the status' : 'nothing had to be written'}${killed ? '; the service was killed meanwhile' : ''}`,
    };
  } finally {
    free();
  }
};

type Which = (stateDir: string) => string | undefined;
const snapshot: Which = (stateDir) => [bookPath(stateDir)].find(existsSync);
/** The snapshot's own: one of the snapshot before may lie beside it, and nobody needs that any more. */
const journal: Which = (stateDir) => {
  const book = snapshot(stateDir);
  const read = book === undefined ? null : decode(readFileSync(book));
  return [read?.ok === true ? journalPath(bookPath(stateDir), read.sha256) : ''].find(existsSync);
};

/** The service is down; it must refuse the damaged book untouched and say what to do, and go on after that. */
const damagedStore =
  (which: Which, damage: (path: string, random: Random) => string) =>
  async (site: ChaosSite, random: Random): Promise<Played> => {
    const { service, config } = site;
    const wrong: string[] = [];
    await service.keepDown();
    const path = which(config.stateDir);
    if (path === undefined) {
      service.letUp();
      return { what: 'there was none yet' };
    }
    const done = damage(path, random);
    const damaged = readFileSync(path);
    const refused = service.refusals.length;
    const starts = service.starts;
    service.letUp();
    const end = performance.now() + startLimitMs;
    while (service.refusals.length === refused && service.starts === starts && performance.now() < end)
      await sleep(50);
    await service.keepDown();
    const words = service.refusals.slice(refused).join('\n');
    if (service.starts > starts) wrong.push('the service started with the damaged book');
    if (!/vmpool recover --from-/.test(words))
      wrong.push(`its refusal does not say how to recover: ${words}`);
    if (!readFileSync(path).equals(damaged)) wrong.push('the damaged book was changed');
    const first = random.chance(0.6) ? '--from-backup' : '--from-cloud';
    let used = first;
    let recovered = await recover(site, first);
    if (recovered.code !== 0 && first === '--from-backup' && /--from-cloud/.test(recovered.output)) {
      used = '--from-cloud';
      recovered = await recover(site, used);
    }
    if (recovered.code !== 0) wrong.push(`vmpool recover ${used} failed: ${recovered.output}`);
    service.letUp();
    if (!(await service.ready(startLimitMs)))
      wrong.push(`the service does not start after vmpool recover ${used}: ${service.refusals.at(-1) ?? ''}`);
    return { what: `${done}, recovered ${used}`, wrong };
  };

/**
 * A journal that ends within a line can be what a power cut left of a commit that was never answered: it starts, but
 * looks at every VM first, because commits before that may be missing.
 */
const journalTruncated = async (site: ChaosSite, random: Random, signal: AbortSignal): Promise<Played> => {
  const { service, config, place } = site;
  await service.keepDown();
  const path = journal(config.stateDir);
  const bytes = path === undefined ? null : readFileSync(path);
  const done = path === undefined || bytes === null ? null : cutWithinCommit(path, bytes, random);
  const told = warningsOf(place.serviceLog);
  const refused = service.refusals.length;
  service.letUp();
  if (done === null) return { what: 'nothing was committed in it' };
  const started = await service.ready(startLimitMs);
  const wrong: string[] = [];
  if (!started && !signal.aborted)
    wrong.push(`the service does not start: ${service.refusals.slice(refused).at(-1) ?? 'no word of it'}`);
  else if (warningsOf(place.serviceLog) === told) wrong.push('nothing was told of it in the log');
  return { what: `${done}, started with every VM held until it was looked at`, wrong };
};

const warningsOf = (log: string): number =>
  readFileSync(log, 'utf8').split("the book's journal ends within a line").length - 1;

/** The next commit puts a whole book in its place; nobody reads the damaged one. */
const damagedInUse = async (site: ChaosSite, random: Random, signal: AbortSignal): Promise<Played> => {
  const { service, config } = site;
  const path = bookPath(config.stateDir);
  if (!existsSync(path) || !(await service.ready(startLimitMs))) return { what: 'there was no book in use' };
  const before = readFileSync(path);
  const done = random.chance(0.5) ? truncate(path, random) : flipBit(path, random);
  const damaged = readFileSync(path);
  const end = performance.now() + 30_000;
  // Until it is written anew. A service that is killed before that finds the damage when it starts.
  while (!signal.aborted && performance.now() < end && readFileSync(path).equals(damaged)) {
    if (service.refusals.at(-1)?.includes('cannot be used') === true && service.pid === null) break;
    await pause(50, signal);
  }
  if (!readFileSync(path).equals(damaged)) return { what: `${done}, written anew by the next commit` };
  await service.keepDown();
  const wrong: string[] = [];
  if (!readFileSync(path).equals(damaged)) {
    service.letUp();
    return { what: `${done}, written anew by the next commit` };
  }
  const recovered = await recover(site, '--from-backup');
  const again = recovered.code === 0 ? recovered : await recover(site, '--from-cloud');
  if (again.code !== 0) wrong.push(`vmpool recover failed: ${again.output}`);
  service.letUp();
  if (!(await service.ready(startLimitMs))) wrong.push('the service does not start after vmpool recover');
  return { what: `${done} (${String(before.length)} bytes before), recovered`, wrong };
};

const anyCell = async (site: ChaosSite, random: Random): Promise<string | null> => {
  const backend = join(site.config.stateDir, 'pulumi');
  const cells = site.pulumi.cells().filter((stack) => existsSync(statePath(backend, stack)));
  return Promise.resolve(random.pick(cells) ?? null);
};

const backendLocked = async (site: ChaosSite, random: Random, signal: AbortSignal): Promise<Played> => {
  const stack = await anyCell(site, random);
  if (stack === null) return { what: 'there was no cell yet' };
  const unlock = lockStack(join(site.config.stateDir, 'pulumi'), stack);
  try {
    const told = await noticed(site, signal, ({ cells }) =>
      cells.some((cell) => cell.stack === stack && (cell.lastError ?? '').includes('is locked by')),
    );
    await pause(random.between(500, 4000), signal);
    return { what: `${stack}, ${told ? 'told on the status' : 'nothing had to be changed in it'}` };
  } finally {
    unlock();
  }
};

/** A whole copy takes its place when the cell is used next, or looked at when the service starts. */
const stateCorrupted = async (site: ChaosSite, random: Random, signal: AbortSignal): Promise<Played> => {
  const stack = await anyCell(site, random);
  if (stack === null) return { what: 'there was no cell yet' };
  const backend = join(site.config.stateDir, 'pulumi');
  const done = truncate(statePath(backend, stack), random);
  const whole = async (limitMs: number): Promise<boolean> => {
    const end = performance.now() + limitMs;
    while (!isWhole(backend, stack) && performance.now() < end && !signal.aborted) await pause(200, signal);
    return isWhole(backend, stack);
  };
  if (await whole(noticedWithinMs)) return { what: `${stack} ${done}, put right when it was used` };
  site.service.kill();
  const mended = (await site.service.ready(startLimitMs)) && (await whole(startLimitMs));
  return {
    what: `${stack} ${done}, nobody had to read it before the service was killed`,
    wrong: mended || signal.aborted ? [] : ['the state was not put right after the start of the service'],
  };
};

const clockMoved = async (site: ChaosSite, random: Random, signal: AbortSignal): Promise<Played> => {
  const steps = Array.from({ length: 3 }, () => random.pick([-48, -2, -1, 1, 3, 48]) ?? 1);
  for (const hours of steps) {
    site.clock.moveTo(hours * hourMs);
    await pause(random.between(1000, 3000), signal);
    // Also from the start on: pool time may not go back behind what the book has seen.
    if (random.chance(0.4)) site.service.kill();
  }
  site.clock.moveTo(0);
  return { what: `by ${steps.join(', ')} hours and back` };
};

const players: Readonly<
  Record<Fault, (site: ChaosSite, random: Random, signal: AbortSignal) => Promise<Played>>
> = {
  'disk full': diskFull,
  'store truncated': damagedStore(snapshot, truncate),
  'store bit flipped': damagedStore(snapshot, flipBit),
  'journal truncated': journalTruncated,
  'journal bit flipped': damagedStore(journal, flipBit),
  'store damaged while in use': damagedInUse,
  'backend locked': backendLocked,
  'state corrupted': stateCorrupted,
  'clock moved': clockMoved,
};

/** As the operator would, with the product's own command. */
const recover = (site: ChaosSite, how: string): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(repoRoot, 'dist/src/cli/main.js'), 'recover', how, '--config', site.place.configFile],
      { env: ownEnvironment(), timeout: 60_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, output: `${stdout}${stderr}` });
      },
    );
  });
