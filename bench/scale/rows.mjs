/**
 * The rows of the table in docs/performance.md that need no VM: the real service over a pool that is already there.
 * Each row stands beside a floor measured in the same run; only their ratio says something of the service.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundlePrograms } from '../../scripts/bundle-cli.mjs';
import { caller, timed, timeOf, until } from '../calls.mjs';
import { owned } from '../owner.mjs';
import { also, atLeastOfFloor, atMost, median, row, slopeRows, spread, timesFloor } from '../results.mjs';
import { requestOf } from './book.mjs';

const here = import.meta.dirname;
const token = 'b'.repeat(40);
const headers = { Authorization: `Bearer ${token}` };
/** 2 s for 1,000 requests is so many times what a bare route needs, measured where both were quick. */
const stormPerFloor = 5;
/** The same of 1 s for a restart, and the start of a program with nothing but Express. */
const restartPerFloor = 4;
/** What one lease's commit appends to the journal, about. */
const commitBytes = 2_048;

/** As few files as the product's own program. */
const bundled = join(here, '..', '..', 'dist', 'bench');
let bundling = null;
const bundle = () => (bundling ??= bundlePrograms({ service: join(here, 'service.mjs') }, bundled));

/** A program of this directory, when it has said where it listens. */
async function startProgram(owner, file, args) {
  const child = owner.process(file, process.execPath, [file, ...args]);
  return { child, ...(await child.line((line) => JSON.parse(line))) };
}
async function startService(owner, dir, members, leases) {
  await bundle();
  const { child, ...told } = await startProgram(owner, join(bundled, 'service.js'), [
    ...[dir, members, leases, token],
  ]);
  const usage = () => {
    child.signal('SIGUSR2');
    return child.line((line) => JSON.parse(line));
  };
  return { ...told, child, usage };
}
const startFloor = (owner, dir) => startProgram(owner, join(here, 'floor.mjs'), [dir, commitBytes]);

const inDirectory = (work) => owned((owner) => work(owner.directory(), owner));

const releaseOf = (job) => ({ job, attempt: requestOf(job).attempt, reason: 'bench' });
const lease = async (c, job) => {
  const answer = await c.call('/v1/leases', requestOf(job));
  if (answer.state !== 'granted') throw new Error(`${job}: ${answer.state}: ${answer.detail}`);
};
const pair = async (c, job) => {
  await c.call('/v1/leases', requestOf(job));
  await c.call('/v1/releases', releaseOf(job));
};

/** Released VMs are scrubbed before they are Free: at once here, but by a later commit. */
const allFree = (url) =>
  until(
    'all VMs Free',
    60_000,
    async () => {
      const answer = await fetch(new URL('/v1/status', url), {
        headers: { Authorization: `Bearer ${'o'.repeat(40)}` },
        signal: AbortSignal.timeout(30_000),
      });
      const { counts } = await answer.json();
      return counts.busy === 0 && counts.unusable === 0 && counts.waiting === 0;
    },
    100,
  );

/** The first three rows. */
export const leaseRows = ({ members, singles, pairs }) =>
  inDirectory(async (dir, owner) => {
    const service = await startService(owner, dir, members, 0);
    const floor = await startFloor(owner, dir);
    // New connections for each phase: the service closes those that rest for some seconds.
    const withCallers = async (width, work) => {
      const [one, bare] = [caller(service.url, width, headers), caller(floor.url, width)];
      try {
        return await work(one, bare);
      } finally {
        one.close();
        bare.close();
        await allFree(service.url);
      }
    };
    await withCallers(1, async (one, bare) => {
      for (let n = 0; n < 50; n += 1) {
        await bare.call('/', requestOf(`${n}.w`));
        await pair(one, `warm${n}.b`);
      }
    });
    // In turns, so that both meet the same neighbours on the machine.
    const floors = [];
    const leases = [];
    await withCallers(1, async (one, bare) => {
      for (let n = 0; n < singles; n += 1) {
        floors.push(await timeOf(() => bare.call('/', requestOf(`${n}.f`))));
        leases.push(await timeOf(() => lease(one, `${n}.b`)));
      }
      for (let n = 0; n < singles; n += 1) await one.call('/v1/releases', releaseOf(`${n}.b`));
    });
    const single = { ...spread(leases), floor: median(floors) };

    const rate = async (count, work) => {
      const ms = await timeOf(() => timed(count, 64, work));
      return count / (ms / 1000);
    };
    const rates = [];
    const bareRates = [];
    for (let turn = 0; turn < 4; turn += 1) {
      await withCallers(64, async (many, bareMany) => {
        bareRates.push(
          await rate(pairs / 4, async (n) => {
            await bareMany.call('/bare', requestOf(`${n}.g`));
            await bareMany.call('/bare', requestOf(`${n}.g`));
          }),
        );
        rates.push(await rate(pairs / 4, (n) => pair(many, `p${turn}-${n}.b`)));
      });
    }

    const all = caller(service.url, members, headers);
    const bareAll = caller(floor.url, members);
    const storm = async (c, path) => {
      const since = performance.now();
      const answers = await Promise.all(
        Array.from({ length: members }, (_, n) => c.call(path, requestOf(`s${n}.b`))),
      );
      return { ms: performance.now() - since, answers };
    };
    const bareStorm = await storm(bareAll, '/bare');
    const leased = await storm(all, '/v1/leases');
    const late = leased.answers.filter((a) => a.state !== 'granted').length;
    for (const c of [all, bareAll]) c.close();
    return [
      row(`lease of a Free VM, durable, ${members} members, one caller`, 'ms', {
        ...single,
        wanted: [timesFloor(3), timesFloor(12, { of: 'p99' })],
      }),
      row(`lease + release, durable, 64 callers, ${members} members`, 'pairs/s', {
        ...{ p50: median(rates), floor: median(bareRates) },
        wanted: [atLeastOfFloor(1 / 3, '1/3')],
      }),
      row(`${members} requests at once on ${members} Free VMs: last answer`, 'ms', {
        ...{ p50: leased.ms, floor: bareStorm.ms },
        wanted: [atMost(2_000, { unit: 'ms', busy: stormPerFloor }), also('all granted', late === 0)],
      }),
    ];
  });

/** A service that is killed with every VM leased, and started again on what it left. */
export const restartRows = ({ members }) =>
  inDirectory(async (dir, owner) => {
    const floor = await timeOf(async () => {
      const { child, url } = await startFloor(owner, dir);
      const bare = caller(url, 1);
      await bare.call('/', requestOf('floor'));
      bare.close();
      owner.defer('the floor', () => child.stop());
    });
    const before = await startService(owner, dir, members, members);
    const c = caller(before.url, 1, headers);
    for (let n = 1; n <= 5; n += 1) await pair(c, `${n}.bench`);
    c.close();
    before.child.signal('SIGKILL');
    const since = performance.now();
    const after = await startService(owner, dir, members, members);
    const again = caller(after.url, 1, headers);
    await again.call('/v1/leases', requestOf('7.bench'));
    const first = performance.now() - since;
    await again.call('/v1/releases', releaseOf('7.bench'));
    await lease(again, 'new.b');
    const full = performance.now() - since;
    again.close();
    const what = `restart with ${members} members and as many leases, the process's own start included`;
    return [
      row(`${what}: first answer`, 'ms', {
        ...{ p50: first, floor },
        wanted: [atMost(1_000, { unit: 'ms', busy: restartPerFloor })],
      }),
      row(`${what}: a release, then a new grant`, 'ms', {
        ...{ p50: full, floor },
        wanted: [atMost(15_000, { unit: 'ms' })],
      }),
    ];
  });

/** Nothing happens: what does the service alone cost? It is the process that grows with the pool. */
export const idleRows = ({ members, seconds }) =>
  inDirectory(async (dir, owner) => {
    const service = await startService(owner, dir, members, 0);
    await sleep(5_000);
    const before = await service.usage();
    await sleep(seconds * 1_000);
    const after = await service.usage();
    const busy = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system;
    const what = `${members} members, nothing happens for ${seconds} s, the service alone, its VMs played`;
    return [
      row(`${what}: processor`, '% of a core', {
        ...{ p50: busy / 1e6 / seconds / 0.01, wanted: [atMost(1, { unit: '%' })] },
      }),
      row(`${what}: memory`, 'MB', { p50: after.rss / 1e6, wanted: [atMost(300, { unit: 'MB' })] }),
    ];
  });

const bytesIn = (dir) =>
  readdirSync(dir)
    .filter((name) => name.startsWith('book.json'))
    .reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);

/**
 * Many leases, one after the other: does anything grow with their number? The slope, as growth over all of them in
 * shares of the beginning.
 */
export const growthRows = ({ members, leases }) =>
  inDirectory(async (dir, owner) => {
    const service = await startService(owner, dir, members, 0);
    const c = caller(service.url, 16, headers);
    await timed(1_000, 16, (n) => pair(c, `w${n}.b`));
    const parts = 10;
    const seen = [];
    for (let part = 0; part < parts; part += 1) {
      const times = await timed(leases / parts, 16, (n) => pair(c, `${part}-${n}.b`));
      const { rss } = await service.usage();
      seen.push({ ms: median(times), mb: rss / 1e6, bytes: bytesIn(dir) });
      process.stderr.write(
        `  after ${((part + 1) * leases) / parts} leases: ${JSON.stringify(seen.at(-1))}\n`,
      );
    }
    c.close();
    return slopeRows(`${leases} leases of ${members} members, one after the other`, seen, [
      ['ms', 'lease + release', 'ms'],
      ['mb', 'memory of the service', 'MB'],
      ['bytes', 'store on disk', 'bytes'],
    ]);
  });
