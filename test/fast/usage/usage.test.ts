import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { usageCsv, usageText } from '../../../src/cli/screens/usage.js';
import { plain } from '../../../src/cli/terminal.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import {
  lineOf,
  openUsage,
  type JobLine,
  type UsageJournal,
  type UsageLine,
} from '../../../src/usage/journal.js';
import { summed, type UsageWish } from '../../../src/usage/sum.js';
import { FakeClient, play } from '../cli/play.js';
import { keyOf, Pool, shapeOf } from '../pool/fixture.js';

const day = 86_400_000;
const hour = 3_600_000;
const start = Date.parse('2026-11-01T00:00:00Z');
const never = new AbortController().signal;

const line = (changes: Partial<UsageLine> = {}): UsageLine => ({
  ...{ at: start + 2 * hour, lease: 'l', job: '1.s', jobName: 'sim', user: 'alice', queue: 'batch' },
  ...{ worker: 'node1', vm: 'b-1', flavor: 'small', processors: 2, reason: 'job ended' },
  ...{ askedAt: start, grantedAt: start + hour },
  ...changes,
});
const wish = (by: UsageWish['by'], changes: Partial<UsageWish> = {}): UsageWish => ({
  ...{ since: start, until: start + 30 * day, by },
  ...changes,
});

describe('the account of ended leases', () => {
  let dir: string;
  let now: number;
  const warnings: string[] = [];
  const open = (size = 1024 * 1024): Promise<UsageJournal> =>
    openUsage({
      ...{ dir, size, keepMs: 400 * day, now: () => now },
      onWarning: (message) => void warnings.push(message),
    });
  const all = async (journal: UsageJournal, since = 0, until = Infinity): Promise<string[]> => {
    const found: string[] = [];
    for await (const { job } of journal.read(since, until, never)) found.push(job);
    return found;
  };
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmpool-usage-'));
    now = start + day;
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('is there after a restart, between its times, without lines that a crash cut off', async () => {
    const first = await open();
    for (const n of [1, 2, 3]) first.append(line({ job: `${String(n)}.s`, at: start + n * hour }));
    await first.close();
    appendFileSync(join(dir, 'history.jsonl'), '{"kind":"lease","at":17');
    const second = await open();
    second.append(line({ job: '4.s', at: start + 4 * hour }));
    await second.close();
    expect(await all(second)).toEqual(['1.s', '2.s', '3.s', '4.s']);
    expect(await all(second, start + 2 * hour, start + 4 * hour)).toEqual(['2.s', '3.s']);
  });

  it('has what was written before jobs were measured, and after', async () => {
    const old = `{"kind":"lease",${JSON.stringify(line()).slice(1)}\n`;
    appendFileSync(join(dir, 'history.jsonl'), old);
    const journal = await open();
    journal.append(job({ job: '2.s' }));
    journal.append(job({ job: '3.s', measured: null, exit: null, end: 'unknown' }));
    await journal.close();
    appendFileSync(join(dir, 'history.jsonl'), '{"kind":"job","at":1793491200001,"end":"melted"}\n');
    const found = [];
    for await (const each of journal.read(0, Infinity, never)) found.push(each);
    expect(found).toEqual([
      line(),
      job({ job: '2.s' }),
      job({ job: '3.s', measured: null, exit: null, end: 'unknown' }),
    ]);
  });

  it('keeps within its size and its age', async () => {
    const journal = await open(9 * 2_000);
    for (let n = 0; n < 200; n += 1) journal.append(line({ job: `${String(n)}.s` }));
    await journal.close();
    const kept = await all(journal);
    expect(kept.length).toBeGreaterThan(20);
    expect(kept.length).toBeLessThan(80);
    expect(kept.at(-1)).toBe('199.s');
    for (const name of readdirSync(dir)) utimesSync(join(dir, name), start / 1000, start / 1000);
    now = start + 500 * day;
    await (await open()).close();
    expect(readdirSync(dir)).toEqual(['history.jsonl']);
    expect(await all(journal)).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('has a line for every lease that ended, and none for a request that never had a VM', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 })).boot();
    const [first, second] = [keyOf('1.s'), keyOf('2.s')];
    pool.pass(1_000).ask(first);
    const grantedAt = pool.now;
    pool.ask(second);
    pool.pass(5_000).release(first);
    pool.release(second);
    expect(pool.notes.map(lineOf).filter((found) => found !== null)).toEqual([
      {
        ...{ at: grantedAt + 5_000, lease: leaseIdOf(first), job: '1.s', user: 'u', worker: first.worker },
        ...{ vm: pool.member().name, flavor: pool.member().spec.flavor, reason: 'done', grantedAt },
        ...{ queue: expect.any(String), jobName: expect.any(String), processors: 1, askedAt: grantedAt },
      },
    ]);
  });
});

const job = (changes: Partial<JobLine> = {}): JobLine => ({
  ...{ at: start + 2 * hour, lease: 'l', job: '1.s', user: 'alice', queue: 'batch', worker: 'node1' },
  ...{ vm: 'b-1', flavor: 'small', processors: 2, end: 'finished', exit: 0 },
  measured: { cpuSeconds: 3_600, memoryBytes: 2 ** 30, wallSeconds: 3_000 },
  ...changes,
});

describe('what jobs used', () => {
  const lines = [
    ...[line(), job(), line({ job: '2.s' })],
    job({ job: '2.s', end: 'over-memory', exit: 137, measured: null }),
    job({ job: '3.s', user: 'bob', measured: { cpuSeconds: 60, memoryBytes: 3 * 2 ** 30, wallSeconds: 60 } }),
  ];

  it('is summed with the leases, under the same keys', async () => {
    const { rows, total } = await summed(lines, wish(['user']));
    expect(rows).toMatchObject([
      { keys: ['alice'], leases: 2, measured: 1, cpuSeconds: 3_600, jobProcessorSeconds: 6_000 },
      { keys: ['bob'], leases: 0, measured: 1, mostMemoryBytes: 3 * 2 ** 30 },
    ]);
    expect(total).toMatchObject({ measured: 2, cpuSeconds: 3_660, mostMemoryBytes: 3 * 2 ** 30 });
    expect(total.ends).toMatchObject({ finished: 2, 'over-memory': 1, failed: 0 });
  });

  it('stands in table and CSV', async () => {
    const view = await summed(lines, wish(['user']));
    const text = usageText(view, plain, Infinity);
    expect(text).toMatch(/^alice .* 1\.0 +60\.0 % +1024 MiB$|^alice .* 1\.0 +60\.0 % +1\.0 GiB$/m);
    expect(text).toContain('Jobs: 2 finished, 1 over-memory.');
    const [header, alice] = usageCsv(view).split('\n');
    expect(header).toMatch(
      /,measured,cpu_seconds,job_processor_seconds,most_memory_bytes,finished,.*,over_memory,/,
    );
    expect(alice).toMatch(/,1,3600\.0,6000\.0,1073741824,1,0,0,1,/);
  });
});

describe('its sums', () => {
  const lines = [
    line(),
    line({ job: '2.s', user: 'bob', at: start + 30 * hour, grantedAt: start + 20 * hour, queue: 'long' }),
    line({ job: '3.s', at: start + 3 * hour }),
  ];

  it('are by what is asked for, the largest first, days in their order', async () => {
    const { rows, total } = await summed(lines, wish(['user']));
    expect(
      rows.map(({ keys, leases, vmSeconds, processorSeconds }) => [
        keys,
        leases,
        vmSeconds,
        processorSeconds,
      ]),
    ).toEqual([
      [['bob'], 1, 36_000, 72_000],
      [['alice'], 2, 10_800, 21_600],
    ]);
    expect(total).toMatchObject({
      leases: 3,
      vmSeconds: 46_800,
      waitSeconds: 79_200,
      longestWaitSeconds: 72_000,
    });
    const days = await summed(lines, wish(['day', 'queue']));
    expect(days.rows.map(({ keys }) => keys)).toEqual([
      ['2026-11-01', 'batch'],
      ['2026-11-02', 'long'],
    ]);
    expect((await summed(lines, wish(['job'], { user: 'alice' }))).rows).toHaveLength(2);
    expect((await summed(lines, wish(['vm', 'flavor', 'month'], { queue: 'none' }))).rows).toEqual([]);
  });

  it.each([80, 120])('fit a terminal of %d columns', async (width) => {
    const view = await summed(lines, wish(['day', 'user', 'queue', 'job']));
    const text = usageText(view, plain, width);
    expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(width);
    expect(text).toMatch(/^total +3 +13\.0 +26\.0/m);
  });

  it('are CSV that a spreadsheet reads as what it is', async () => {
    const view = await summed([line({ queue: '=1,"2"' })], wish(['user', 'queue']));
    expect(usageCsv(view)).toBe(
      `user,queue,leases,vm_seconds,processor_seconds,wait_seconds,longest_wait_seconds,measured,cpu_seconds,job_processor_seconds,most_memory_bytes,finished,failed,signalled,over_memory,over_cput,cancelled,vm_lost,never_started,unknown
alice,"'=1,""2""",1,3600.0,7200.0,3600.0,3600.0,0,0.0,0.0,0,0,0,0,0,0,0,0,0,0`,
    );
  });
});

describe('vmpool usage', () => {
  it('asks for the time and the sums that are wanted', async () => {
    const client = new FakeClient();
    const args = ['usage', '--by', 'queue,day', '--since', '2026-11-01', '--user', 'alice'];
    expect(await play(args, client)).toMatchObject({
      code: 0,
      out: expect.stringContaining('No lease ended'),
    });
    expect(client.asked).toEqual(['usage {"by":["queue","day"],"since":"2026-11-01","user":"alice"}']);
    expect((await play(['usage', '--csv'], client)).out).toMatch(/^user,leases,/);
    expect(JSON.parse((await play(['usage', '--json', '--since', '30d'], client)).out)).toMatchObject({
      rows: [],
    });
  });
  it.each([
    [['--by', 'colour'], 'one to four of'],
    [['--since', 'yesterday'], 'a date'],
    [['--csv', '--json'], 'either --csv or --json'],
  ])('says what is wrong with %j', async (args, why) => {
    expect(await play(['usage', ...args])).toMatchObject({ code: 2, err: expect.stringContaining(why) });
  });
});
