/**
 * The rows of the table in docs/performance.md that need no VM: the real service over a pool that is already there.
 * Each row stands beside a floor measured in the same run; only their ratio says something of the service.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundlePrograms } from '../../scripts/bundle-cli.mjs';
import { requestOf } from './book.mjs';
import { caller, quantile, row, startChild, timed } from './measure.mjs';

const here = import.meta.dirname;
const token = 'b'.repeat(40);
const headers = { Authorization: `Bearer ${token}` };
/** 2 s for 1,000 requests is so many times what a bare route needs, measured where both were quick. */
const stormPerFloor = 5;
/** What one lease's commit appends to the journal, about. */
const commitBytes = 2_048;

/** As few files as the product's own program. */
const bundled = join(here, '..', '..', 'dist', 'bench');
await bundlePrograms({ service: join(here, 'service.mjs') }, bundled);
const startService = (dir, members, leases) =>
  startChild(join(bundled, 'service.js'), [dir, members, leases, token]);

async function inDirectory(work) {
  const dir = mkdtempSync('/var/tmp/vmpool-bench-');
  const children = [];
  try {
    return await work(dir, async (starting) => {
      const child = await starting;
      children.push(child);
      return child;
    });
  } finally {
    for (const child of children) await child.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

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
async function allFree(url) {
  for (let n = 0; n < 600; n += 1) {
    const answer = await fetch(new URL('/v1/status', url), {
      headers: { Authorization: `Bearer ${'o'.repeat(40)}` },
    });
    const { counts } = await answer.json();
    if (counts.busy === 0 && counts.unusable === 0 && counts.waiting === 0) return;
    await sleep(100);
  }
  throw new Error('the VMs did not become Free again');
}

/** The first three rows. `slack` widens what is wanted, for a check that only tells of a large step back. */
export const leaseRows = ({ members, singles, pairs, slack = 1 }) =>
  inDirectory(async (dir, own) => {
    const service = await own(startService(dir, members, 0));
    const floor = await own(startChild(join(here, 'floor.mjs'), [dir, commitBytes]));
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
        floors.push(...(await timed(1, 1, () => bare.call('/', requestOf(`${n}.f`)))));
        leases.push(...(await timed(1, 1, () => lease(one, `${n}.b`))));
      }
      for (let n = 0; n < singles; n += 1) await one.call('/v1/releases', releaseOf(`${n}.b`));
    });
    const [p50, p99, base] = [quantile(leases, 0.5), quantile(leases, 0.99), quantile(floors, 0.5)];

    const rate = async (count, work) => {
      const since = performance.now();
      await timed(count, 64, work);
      return count / ((performance.now() - since) / 1000);
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
    const [pairRate, bareRate] = [quantile(rates, 0.5), quantile(bareRates, 0.5)];

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
      row(
        `lease of a Free VM, durable, ${members} members, one caller`,
        'ms',
        p50,
        p99,
        base,
        'p50 <= 3x floor, p99 <= 12x floor',
        p50 <= 3 * slack * base && p99 <= 12 * slack * base,
      ),
      row(
        `lease + release, durable, 64 callers, ${members} members`,
        'pairs/s',
        pairRate,
        null,
        bareRate,
        '>= 1/3 of floor',
        pairRate >= bareRate / 3 / slack,
      ),
      row(
        `${members} requests at once on ${members} Free VMs: last answer`,
        'ms',
        leased.ms,
        null,
        bareStorm.ms,
        '< 2000 ms, all granted',
        late === 0 && (leased.ms < 2_000 || (slack > 1 && leased.ms < stormPerFloor * slack * bareStorm.ms)),
      ),
    ];
  });

/** A service that is killed with every VM leased, and started again on what it left. */
export const restartRows = ({ members, slack = 1 }) =>
  inDirectory(async (dir, own) => {
    const before = await startService(dir, members, members);
    const c = caller(before.url, 1, headers);
    for (let n = 1; n <= 5; n += 1) await pair(c, `${n}.bench`);
    c.close();
    before.kill('SIGKILL');
    const since = performance.now();
    const after = await own(startService(dir, members, members));
    const again = caller(after.url, 1, headers);
    await again.call('/v1/leases', requestOf('7.bench'));
    const first = performance.now() - since;
    await again.call('/v1/releases', releaseOf('7.bench'));
    await lease(again, 'new.b');
    const full = performance.now() - since;
    again.close();
    const what = `restart with ${members} members and as many leases, the process's own start included`;
    return [
      row(`${what}: first answer`, 'ms', first, null, null, '<= 1000 ms', first <= 1_000 * slack),
      row(`${what}: a release, then a new grant`, 'ms', full, null, null, '<= 15 s', full <= 15_000 * slack),
    ];
  });

/** Nothing happens: what does the service cost? It is the process that grows with the pool; the engine's sleeps. */
export const idleRows = ({ members, seconds, slack = 1 }) =>
  inDirectory(async (dir, own) => {
    const service = await own(startService(dir, members, 0));
    await sleep(5_000);
    const before = await service.usage();
    await sleep(seconds * 1_000);
    const after = await service.usage();
    const busy = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system;
    const percent = busy / 1e6 / seconds / 0.01;
    const mib = after.rss / 1024 / 1024;
    const what = `a converged pool of ${members}, nothing happening for ${seconds} s, the service`;
    return [
      row(`${what}: processor`, '% of a core', percent, null, null, '< 1 %', percent < slack),
      row(`${what}: memory`, 'MiB', mib, null, null, '< 300 MB in all', mib < 286 * slack),
    ];
  });

const bytesIn = (dir) =>
  readdirSync(dir)
    .filter((name) => name.startsWith('book.json'))
    .reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);

/** Many leases, one after the other: does anything grow with their number? */
export const growthRows = ({ members, leases, slack = 1 }) =>
  inDirectory(async (dir, own) => {
    const service = await own(startService(dir, members, 0));
    const c = caller(service.url, 16, headers);
    await timed(1_000, 16, (n) => pair(c, `w${n}.b`));
    const parts = 5;
    const seen = [];
    for (let part = 0; part < parts; part += 1) {
      const times = await timed(leases / parts, 16, (n) => pair(c, `${part}-${n}.b`));
      const { rss } = await service.usage();
      seen.push({ p50: quantile(times, 0.5), rss: rss / 1024 / 1024, bytes: bytesIn(dir) });
      process.stderr.write(
        `  after ${((part + 1) * leases) / parts} leases: ${JSON.stringify(seen.at(-1))}\n`,
      );
    }
    c.close();
    const [first, last] = [seen[0], seen.at(-1)];
    const what = `${leases} leases, the last fifth beside the first`;
    return [
      row(
        `${what}: lease + release`,
        'ms',
        last.p50,
        null,
        first.p50,
        '<= 1.3x',
        last.p50 <= 1.3 * slack * first.p50,
      ),
      row(
        `${what}: memory`,
        'MiB',
        last.rss,
        null,
        first.rss,
        '<= 1.3x',
        last.rss <= 1.3 * slack * first.rss,
      ),
      row(`${what}: store on disk`, 'bytes', last.bytes, null, first.bytes, 'told', true),
    ];
  });
