/// <reference lib="dom" />
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { ask, tokens } from '../fast/http/harness.js';
import { nastyTexts } from '../fast/hostile/texts.js';
import { serveClasses, servePool, type ServedPool } from '../fast/http/served-pool.js';
import type { CellName, MemberName } from '../../src/pool/model.js';

const artefacts = join(process.cwd(), 'test-artifacts', 'dashboard');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser: Browser;
let context: BrowserContext;
let page: Page;
let pool: ServedPool;
/** What the page complained about: a refused script or style is a failure even where it looks well. */
let complaints: string[];

beforeAll(async () => {
  mkdirSync(artefacts, { recursive: true });
  // The sandbox of the browser needs a user of its own; what it shows here is our page alone.
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
});
afterAll(async () => {
  await browser.close();
});

beforeEach(() => {
  complaints = [];
});
afterEach(async () => {
  await context.close();
  await pool.server.close(1_000);
});

interface Looks {
  readonly vms?: number;
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: 'light' | 'dark';
  /** Names of the pools of a service with several. */
  readonly classes?: readonly string[];
}

async function open({
  vms = 3,
  width = 1200,
  height = 900,
  colorScheme = 'light',
  classes = [],
}: Looks = {}): Promise<void> {
  const rules = classes.map((name) => ({ pool: name, features: [name], reserved: false }));
  pool = rules.length === 0 ? await servePool(vms) : await serveClasses(rules, vms);
  context = await browser.newContext({ viewport: { width, height }, colorScheme });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(pool.url);
}

async function signIn(token = tokens.operator): Promise<void> {
  await page.getByLabel('Token of an operator or viewer').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
const tile = (name: RegExp) => page.getByRole('list', { name: 'VMs' }).getByRole('button', { name });
const keep = (name: string) => page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true });

/** One job asks for a VM. */
const begin = (job: string, more: { readonly maxWaitSeconds?: number } = {}): Promise<unknown> =>
  pool.service.request('node1', {
    ...(ask(job) as Parameters<typeof pool.service.request>[1]),
    ...{ processors: 1, queue: '', jobName: '' },
    ...more,
  });
const vmNames = (): readonly MemberName[] =>
  pool.keeper
    .durable()
    .book.members.values()
    .map(({ name }) => name);
const nameOf = (at: number): MemberName => {
  const name = vmNames()[at];
  if (name === undefined) throw new Error(`the pool has no VM ${String(at)}`);
  return name;
};

/** What a table's rows say, by the words above its columns. */
async function rowsOf(table: string): Promise<readonly Readonly<Record<string, string>>[]> {
  const found = page.getByRole('table', { name: table });
  const heads = await found.getByRole('columnheader').allTextContents();
  const rows = await found.locator('tbody tr').all();
  return Promise.all(
    rows.map(async (row) => {
      const cells = await row.getByRole('cell').allTextContents();
      return Object.fromEntries(cells.map((text, at) => [heads[at] ?? '', text]));
    }),
  );
}

/** Rules of WCAG 2.2 AA that a program can check, by axe-core. */
async function accessible(): Promise<void> {
  await page.evaluate(axe);
  const broken = await page.evaluate(async () => {
    const { axe: engine } = globalThis as unknown as {
      axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    return (await engine.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`);
  });
  expect(broken).toEqual([]);
}

describe('signing in', () => {
  it('shows nothing of the pool before, and says why a token is refused', async () => {
    await open();
    expect(await page.locator('#pool-view').isVisible()).toBe(false);
    await accessible();
    await signIn('not-a-token');
    await page.getByText('This token is not known here.').waitFor();
    await signIn(tokens.worker);
    await page.getByText('The role worker may not do this.').waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    await keep('signed-out');
  });

  it('lasts for the tab, and ends on request', async () => {
    await open();
    await signIn();
    await page.getByText('live, as operator').waitFor();
    await page.reload();
    await page.getByText('live, as operator').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('not signed in').waitFor();
    expect(await tile(/Free/).count()).toBe(0);
    await page.reload();
    expect(await page.locator('#pool-view').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
  });
});

describe('the pool, live', () => {
  it('shows a job that begins, one that waits and one that ends', async () => {
    await open({ vms: 1 });
    await signIn(tokens.viewer);
    await tile(/Free/).waitFor();
    await begin('7.srv');
    await tile(/Busy.*job 7\.srv of ann/).waitFor();
    await begin('8.srv', { maxWaitSeconds: 3_600 });
    await page.getByRole('cell', { name: '8.srv' }).waitFor();
    await page.getByRole('cell', { name: / of 1 h$/ }).waitFor();
    await page.getByText('1 busy').waitFor({ state: 'attached' });
    await keep('busy');
    await pool.service.release('node1', { job: '7.srv', reason: 'job ended' });
    await tile(/scrubbing/).waitFor();
    await page.locator('#events li', { hasText: '7.srv' }).first().waitFor();
    expect(complaints).toEqual([]);
  });

  it.each([1200, 360])('shows the pools of a service with several, %d wide', async (width) => {
    await open({ vms: 3, classes: ['batch', 'large'], width });
    await signIn();
    const row = page.locator('#pools tr', { hasText: 'large' });
    await row.waitFor();
    expect(await page.locator('#pools tr').count()).toBe(2);
    await page.getByText('6 VMs', { exact: true }).waitFor();
    await pool.service.request('node1', {
      ...(ask('7.srv') as Parameters<typeof pool.service.request>[1]),
      ...{ processors: 1, queue: '', jobName: '', features: ['large'] },
    });
    await tile(/^large-0001 ?Busy.*job 7\.srv of ann/).waitFor();
    await page.getByLabel('Find').fill('large');
    await tile(/^batch-/)
      .first()
      .waitFor({ state: 'hidden' });
    expect(await tile(/^large-/).count()).toBe(3);
    await accessible();
    await keep(`classes-${String(width)}`);
    await tile(/^large-0002/).click();
    await page.getByRole('dialog', { name: 'large-0002' }).getByText('large', { exact: true }).waitFor();
    expect(complaints).toEqual([]);
  });

  it('draws the pool over time as it was: each state, at its time, as high as its VMs are many', async () => {
    await open({ vms: 4 });
    // Four Free for ten minutes, one Busy for ten, all Busy and two jobs waiting for ten, one held since.
    const change = async (jobs: readonly string[]): Promise<void> => {
      await pool.clock.advance(600_000);
      for (const job of jobs) await begin(job);
      pool.count();
    };
    await change(['1.srv']);
    await change(['2.srv', '3.srv', '4.srv', '5.srv', '6.srv']);
    await pool.clock.advance(600_000);
    await pool.service.release('node1', { job: '1.srv', reason: 'job ended' });
    pool.count();
    await pool.clock.advance(600_000);
    await signIn();
    await page.getByText(/the last 40 min; at most 4\.$/).waitFor();
    await keep('chart');
    /** Which states are drawn at a time (parts of the whole) and a height (VMs from below), and where the line is. */
    const drawn = await page.evaluate(() => {
      const chart = document.querySelector<SVGSVGElement>('#chart');
      if (chart === null) return [];
      const shapes = [...chart.querySelectorAll('path')];
      const visible = shapes.filter((one) => getComputedStyle(one).fill !== 'none');
      const line = chart.querySelector<SVGPathElement>('path.waiting');
      return [0.5, 1.5, 2.5, 3.5].map((quarter) => {
        const x = quarter * 150;
        const stack = [0.5, 1.5, 2.5, 3.5].map((level) => {
          const point = new DOMPoint(x, 120 - level * 30);
          return visible
            .filter((one) => one.isPointInFill(point))
            .map((one) => one.getAttribute('class'))
            .join();
        });
        const waiting = [0, 1, 2, 3, 4].filter((level) => {
          const point = new DOMPoint(x, 120 - level * 30);
          return line?.isPointInStroke(point) === true;
        });
        return { stack: stack.join(' '), waiting: waiting.join() };
      });
    });
    expect(drawn).toEqual([
      { stack: 'free free free free', waiting: '0' },
      { stack: 'busy free free free', waiting: '0' },
      { stack: 'busy busy busy busy', waiting: '2' },
      { stack: 'busy busy busy unusable', waiting: '2' },
    ]);
    const colours = await page.evaluate(() =>
      ['busy', 'free', 'unusable'].map((name) => {
        const found = document.querySelector(`#chart .${name}`);
        return found === null ? '' : getComputedStyle(found).fill;
      }),
    );
    expect(new Set(colours).size).toBe(3);
    // What happens while one looks is drawn after the next look at the trend.
    for (const job of ['2.srv', '3.srv', '4.srv'])
      await pool.service.release('node1', { job, reason: 'job ended' });
    pool.count();
    await pool.clock.advance(1_200_000);
    await pool.service.retire(nameOf(0), 'the last change', 'tester');
    // From minute 40 to 60 all four were being scrubbed.
    await page.waitForFunction(
      () => {
        const unusable = document.querySelector<SVGPathElement>('#chart .unusable');
        return unusable?.isPointInFill(new DOMPoint(500, 45)) === true;
      },
      null,
      { timeout: 60_000 },
    );
    expect(complaints).toEqual([]);
  });

  it('shows of each cell its VMs and its update: running, failed, tried again', async () => {
    await open({ vms: 3 });
    await signIn();
    await page.getByText('live, as operator').waitFor();
    const cell = 'c001' as CellName;
    const wish = { cell, members: [], retire: [] };
    const stack = 'p-c001';
    await page.getByRole('table', { name: 'Cells' }).getByText('converged').waitFor();
    expect(await rowsOf('Cells')).toEqual([{ Cell: stack, VMs: '3', Update: 'converged' }]);
    await pool.keeper.dispatch({ type: 'runBegan', cell });
    await page.getByRole('cell', { name: 'running', exact: true }).waitFor();
    const message = 'error: <i>409</i> port quota';
    await pool.keeper.dispatch({ type: 'runEnded', wish, result: { ok: false, state: null, message } });
    await page.getByRole('cell', { name: `failed: ${message}`, exact: true }).waitFor();
    await page
      .getByRole('list', { name: 'Problems' })
      .getByText(`stack ${stack} does not converge`)
      .waitFor();
    await accessible();
    await keep('cell-failed');
    await pool.keeper.dispatch({ type: 'runBegan', cell });
    await page.getByRole('cell', { name: `running; the last one failed: ${message}`, exact: true }).waitFor();
    await pool.keeper.dispatch({ type: 'runEnded', wish, result: { ok: true, state: null, message: null } });
    await page.getByRole('cell', { name: 'converged', exact: true }).waitFor();
    expect(await rowsOf('Cells')).toEqual([{ Cell: stack, VMs: '3', Update: 'converged' }]);
  });

  it('shows what the job on a VM has used so far, as its probes tell, while its panel is open', async () => {
    await open({ vms: 1 });
    await signIn(tokens.viewer);
    await tile(/Free/).waitFor();
    await begin('7.srv');
    await tile(/Busy.*job 7\.srv of ann/).click();
    const panel = page.getByRole('dialog', { name: nameOf(0) });
    await panel.getByText('7.srv of ann').waitFor();
    expect(await panel.getByText('Used so far').count()).toBe(0);
    const member = pool.keeper.durable().book.members.get(nameOf(0));
    const [lease] = pool.keeper.durable().book.leases.values();
    if (lease === undefined || member === undefined) throw new Error('no lease');
    const { id, key, user } = lease.request;
    const measured = (cpuSeconds: number) =>
      pool.keeper.dispatch({
        type: 'probed',
        member: member.name,
        result: {
          ...{ ok: true, hostKeys: [], bootId: member.bootId ?? '' },
          marker: { lease: id, key, user, authentic: true },
          measured: {
            ...{ begun: true, code: null, told: false, over: null, cpuSeconds, wallSeconds: 95 },
            memoryBytes: 130 * 2 ** 20,
          },
        },
      });
    await measured(75);
    await pool.clock.advance(11_000);
    await panel.getByText('1 min of CPU time in 1 min, 130 MiB at most, as of').waitFor();
    await measured(360);
    await pool.clock.advance(11_000);
    await panel.getByText('6 min of CPU time in').waitFor();
    expect(complaints).toEqual([]);
  });

  it('shows on each tile how old the VM is and when it was last asked, also what it did not answer', async () => {
    await open({ vms: 2 });
    await pool.clock.advance(7_200_000);
    const [answers, silent] = [nameOf(0), nameOf(1)];
    // Another boot id than before would be a reboot.
    const bootId = pool.keeper.durable().book.members.get(answers)?.bootId ?? '';
    const probed = (member: MemberName, why: string | null) =>
      pool.keeper.dispatch({
        type: 'probed',
        member,
        result:
          why === null ? { ok: true, hostKeys: [], marker: null, bootId } : { ok: false, step: 'tcp', why },
      });
    await probed(answers, null);
    await probed(silent, 'no route');
    await pool.clock.advance(40_000);
    await signIn();
    await tile(new RegExp(`^${answers} .*2 h old, probed 4\\d s ago`)).waitFor();
    await tile(
      new RegExp(`^${silent} .*does not answer.*2 h old, 1 failed probe, the last 4\\d s ago`),
    ).waitFor();
    expect(
      await tile(/probed/)
        .getByText(/probed 4\d s ago/)
        .isVisible(),
    ).toBe(true);
    await keep('probes');
    // Without a word of the service the age goes on, and the next probe begins it anew.
    await tile(/probed 5\d s ago/).waitFor();
    await probed(answers, null);
    await tile(/probed \d s ago/).waitFor();
  });

  it('shows who waits: place, job, worker, how long and for what, until it is served', async () => {
    await open({ vms: 1 });
    await begin('7.srv');
    await begin('8.srv', { maxWaitSeconds: 3_600 });
    await pool.clock.advance(120_000);
    await begin('9.srv');
    await pool.clock.advance(60_000);
    await signIn();
    await page.getByRole('cell', { name: '9.srv' }).waitFor();
    const rows = await rowsOf('Waiting requests');
    expect(rows.map((row) => [row['Place'], row['Job'], row['Worker'], row['Waits (of at most)']])).toEqual([
      ['1', '8.srv', 'node1', '3 min of 1 h'],
      ['2', '9.srv', 'node1', '1 min'],
    ]);
    const wanted = pool.service.status().requests.map(({ detail }) => detail);
    expect(wanted.every((text) => text.length > 5)).toBe(true);
    expect(rows.map((row) => row['For what'])).toEqual(wanted);
    await keep('waiting');
    await pool.service.release('node1', { job: '8.srv', reason: 'job deleted' });
    await page.getByRole('cell', { name: '8.srv' }).waitFor({ state: 'detached' });
    expect((await rowsOf('Waiting requests'))[0]).toMatchObject({ Place: '1', Job: '9.srv' });
    await pool.service.release('node1', { job: '9.srv', reason: 'job deleted' });
    await page.getByText('Nothing waits.').waitFor();
  });

  it('is told of events by one stream, newest first, and asks for nothing', async () => {
    await open({ vms: 2 });
    const streams: string[] = [];
    const asked: string[] = [];
    page.on('request', (request) => {
      asked.push(new URL(request.url()).pathname);
    });
    page.on('response', (response) => {
      const type = response.headers()['content-type'] ?? '';
      if (type.startsWith('text/event-stream')) streams.push(new URL(response.url()).pathname);
    });
    await signIn(tokens.viewer);
    await page.getByText('live, as viewer').waitFor();
    await page.getByText('2 VMs', { exact: true }).waitFor();
    const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem');
    for (const job of ['7.srv', '8.srv']) {
      await begin(job);
      await events
        .filter({ hasText: `job ${job}` })
        .first()
        .waitFor();
    }
    const texts = await events.allTextContents();
    const first = (job: string): number => texts.findIndex((text) => text.includes(job));
    expect(first('8.srv')).toBeLessThan(first('7.srv'));
    expect(texts.join('\n')).toMatch(new RegExp(`${nameOf(0)} job 7\\.srv `));
    // Evil names are text here too; the stream is one, and the trend the only other question.
    expect(streams).toEqual(['/v1/watch']);
    expect([...new Set(asked)].toSorted()).toEqual(['/v1/trend', '/v1/watch']);
  });

  it('says when the service is away, and goes on when it is back', async () => {
    await open();
    await signIn();
    await page.getByText('live, as operator').waitFor();
    const { port } = pool;
    await pool.server.close(1_000);
    await page.getByText(/connection lost, trying again/).waitFor();
    pool = await servePool(2, port);
    await page.getByText('live, as operator').waitFor();
    await page.getByText('2 VMs', { exact: true }).waitFor();
  });

  it('shows which service of the site is behind, since when and why', async () => {
    await open();
    await signIn();
    await page.getByText('live, as operator').waitFor();
    expect(await page.locator('#services-section').isVisible()).toBe(false);
    const lastError = 'ssh: <b>no route</b> to host';
    pool.services.push({
      ...{ name: 'nagios', type: 'nagios', stack: 'p-svc-nagios', hosts: 1, toAdd: 2, toRemove: 0 },
      ...{ running: false, upToDate: false, nextTry: null, lastError },
      behindSince: new Date(pool.clock.now() - 120_000).toISOString(),
    });
    const row = page.locator('#services tr');
    await row.getByText('behind for 2 min').waitFor();
    await row.getByText(`2 to add; ${lastError}`).waitFor();
    await accessible();
    await keep('service-behind');
    // Another look, three minutes later: it is tried again soon, and a second one is well.
    await pool.clock.advance(180_000);
    const [nagios] = pool.services;
    if (nagios === undefined) throw new Error('the service is gone');
    const nextTry = new Date(pool.clock.now() + 45_000).toISOString();
    pool.services.splice(
      0,
      1,
      { ...nagios, nextTry },
      {
        ...nagios,
        name: 'hosts',
        type: 'command',
        toAdd: 0,
        upToDate: true,
        behindSince: null,
        lastError: null,
      },
    );
    await row.getByText('behind for 5 min').waitFor();
    const [behind, well] = await rowsOf('Services that follow');
    expect(behind).toMatchObject({ Service: 'nagios', Type: 'nagios', VMs: '1', State: 'behind for 5 min' });
    expect(behind?.['Why']).toMatch(/^2 to add; tried again in 4\d s; ssh: <b>no route<\/b> to host$/);
    expect(well).toEqual({ Service: 'hosts', Type: 'command', VMs: '1', State: 'up to date', Why: '' });
    pool.services.splice(0, 1, { ...nagios, running: true });
    await row.getByText('being updated for 5 min').waitFor();
    pool.services.splice(0);
    await page.locator('#services-section').waitFor({ state: 'hidden' });
  });

  it('shows text from jobs and operators as text', async () => {
    await open();
    await signIn();
    await tile(/Free/).first().waitFor();
    const name = pool.keeper.durable().book.members.keys()[0] ?? '';
    const evil = '<img src=x onerror="document.title=1"><b>bold';
    await pool.service.hold(name, evil, null, 'tester');
    await page.locator('#problems').getByText(evil).waitFor();
    await tile(new RegExp(`^${name}`)).click();
    await page.locator('#panel-facts').getByText(evil).waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.title()).toBe('VM Pool');
  });

  it('shows any text as text: newlines, quotes, tags, controls, a megabyte, in names, reasons and errors', async () => {
    const vms = 40;
    await open({ vms });
    await signIn();
    await page.getByText(`${String(vms)} VMs`, { exact: true }).waitFor();
    const own = await page.evaluate(() => document.querySelectorAll('script, style, link').length);
    const names = pool.keeper.durable().book.members.keys();
    // A half of a pair cannot travel to the browser and back.
    const nasty = nastyTexts.filter((one) => Buffer.from(one).toString() === one);
    pool.services.push(
      ...nasty.map((one) => ({
        ...{ name: one, type: one, stack: one, hosts: 1, toAdd: 2, toRemove: 0 },
        ...{ running: false, upToDate: false, behindSince: null, nextTry: null, lastError: one },
      })),
    );
    for (const [at, one] of nasty.slice(0, vms).entries())
      await pool.service.hold(names[at] ?? '', one, null, 'tester');
    await page
      .locator('#services tr')
      .nth(nasty.length - 1)
      .waitFor();
    const cells = await page.evaluate(() =>
      [...document.querySelectorAll('#services tr')].map((row) =>
        [...row.querySelectorAll('td')].map((cell) => cell.textContent),
      ),
    );
    expect(cells.map(([name]) => name)).toEqual(nasty);
    for (const [at, one] of nasty.entries()) expect(cells[at]?.join(' ')).toContain(one);
    for (const at of [0, 10, 20]) {
      await tile(new RegExp(`^${names[at] ?? ''}`)).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    }
    const found = await page.evaluate(() => ({
      loaded: document.querySelectorAll('script, style, link').length,
      foreign: document.querySelectorAll('img, iframe, object, embed, b b, marquee, [src^="x"]').length,
      handlers: [...document.querySelectorAll('*')].filter((one) =>
        [...one.attributes].some(({ name }) => name.startsWith('on')),
      ).length,
    }));
    expect(found).toEqual({ loaded: own, foreign: 0, handlers: 0 });
    expect(await page.title()).toBe('VM Pool');
    expect(complaints).toEqual([]);
  });
});

describe("an operator's orders", () => {
  it('hold a VM with a reason, give it back, drain one, and retire one after a second click', async () => {
    await open();
    await signIn();
    const vm = pool.keeper.durable().book.members.keys()[0] ?? '';
    await tile(new RegExp(`^${vm} ?Free`)).click();
    const panel = page.getByRole('dialog', { name: vm });
    await panel.getByLabel('Reason').fill('disk looks odd');
    await accessible();
    await keep('panel');
    await panel.getByRole('button', { name: 'Hold' }).click();
    await panel.getByText(`${vm} is held`).waitFor();
    await panel.getByText('disk looks odd').waitFor();
    await panel.getByRole('button', { name: 'Give back' }).click();
    await panel.getByText(`${vm} goes to the scrub`).waitFor();
    await panel.getByRole('button', { name: 'Close' }).click();

    const drained = pool.keeper.durable().book.members.keys()[2] ?? '';
    await tile(new RegExp(`^${drained} ?Free`)).click();
    const third = page.getByRole('dialog', { name: drained });
    await third.getByLabel('Reason').fill('new kernel');
    await third.getByRole('button', { name: 'Drain' }).click();
    await third.getByText(`${drained} is drained`).waitFor();
    await third.getByRole('button', { name: 'Give back' }).waitFor();
    await third.getByRole('button', { name: 'Close' }).click();

    const other = pool.keeper.durable().book.members.keys()[1] ?? '';
    await tile(new RegExp(`^${other} ?Free`)).click();
    const second = page.getByRole('dialog', { name: other });
    await second.getByRole('button', { name: 'Retire' }).click();
    expect(pool.service.status().members.find(({ name }) => name === other)?.state).toBe('Free');
    await second.getByRole('button', { name: `Really retire ${other}` }).click();
    await second.getByText(/is being retired/).waitFor();
  });

  it('are not offered to a viewer', async () => {
    await open();
    await signIn(tokens.viewer);
    await tile(/Free/).first().click();
    await page.getByRole('dialog').getByText('Generation').waitFor();
    expect(await page.getByRole('button', { name: 'Hold' }).isVisible()).toBe(false);
  });
});

describe('by keyboard', () => {
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-vm'));
  const focusedName = () =>
    page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.id || '');
  /** Presses Tab until that is reached; a place that cannot be reached fails. */
  async function tabTo(name: string): Promise<void> {
    const seen: string[] = [];
    for (let n = 0; n < 30; n += 1) {
      await page.keyboard.press('Tab');
      const at = await focusedName();
      if (at === name) return;
      seen.push(at);
    }
    throw new Error(`Tab does not reach ${name}: ${seen.join(', ')}`);
  }

  it('the VMs are one stop; arrows move, Enter opens, Escape closes', async () => {
    await open({ vms: 14 });
    await signIn();
    await tile(/Free/).first().waitFor();
    await page.getByLabel('State', { exact: true }).focus();
    await page.keyboard.press('Tab');
    const names = vmNames();
    expect(await focused()).toBe(names[0]);
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toBe(names[1]);
    // Down and up by a row, as many as are side by side.
    const tops = await page
      .locator('#vms li')
      .evaluateAll((items) => items.map((item) => item.getBoundingClientRect().top));
    const columns = tops.filter((top) => top === tops[0]).length;
    expect(columns).toBeLessThan(14);
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe(names[columns]);
    await page.keyboard.press('ArrowUp');
    expect(await focused()).toBe(names[0]);
    await page.keyboard.press('End');
    expect(await focused()).toBe(names[13]);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: names[13] ?? '' }).waitFor();
    await page.keyboard.press('Escape');
    expect(await page.getByRole('dialog').isVisible()).toBe(false);
    expect(await focused()).toBe(names[13]);
    // The focus is seen, not only there.
    const outline = await page.evaluate(() => {
      const at = document.activeElement;
      return at === null ? '' : getComputedStyle(at).outlineStyle;
    });
    expect(outline).toBe('solid');
  });

  it('everything: signing in, finding, each order with its reason, signing out; no pointer is used', async () => {
    await open({ vms: 4 });
    // The page begins in the field of the token.
    await page.keyboard.type(tokens.operator);
    await page.keyboard.press('Enter');
    await page.getByText('live, as operator').waitFor();
    await tile(/Free/).first().waitFor();
    // In the DOM's order from the top: skip link, sign out, then the filter.
    await page.evaluate(() => {
      (document.activeElement as HTMLElement | null)?.blur();
    });
    await tabTo('search');
    await page.keyboard.type('-0002');
    await page.getByText('1 of 4 VMs').waitFor();
    await page.keyboard.press('Control+A');
    await page.keyboard.press('Delete');
    await page.getByText('4 VMs', { exact: true }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('state');
    await page.keyboard.press('Tab');

    const panel = page.getByRole('dialog');
    const stateOf = (at: number) =>
      pool.service.status().members.find(({ name }) => name === nameOf(at)) ?? {
        state: 'gone',
        reason: null,
      };
    const openPanel = async (at: number): Promise<void> => {
      await page.keyboard.press('Home');
      for (let n = 0; n < at; n += 1) await page.keyboard.press('ArrowRight');
      expect(await focused()).toBe(nameOf(at));
      await page.keyboard.press('Enter');
      await page.getByRole('dialog', { name: nameOf(at) }).waitFor();
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('reason');
    };
    const leavePanel = async (at: number): Promise<void> => {
      await page.keyboard.press('Escape');
      await panel.waitFor({ state: 'hidden' });
      expect(await focused()).toBe(nameOf(at));
    };

    await openPanel(0);
    await page.keyboard.type('looks odd');
    // Enter in the reason orders nothing.
    await page.keyboard.press('Enter');
    expect(stateOf(0)).toMatchObject({ state: 'Free' });
    await tabTo('Hold');
    await page.keyboard.press('Enter');
    await panel.getByText(`${nameOf(0)} is held`).waitFor();
    await panel.getByRole('button', { name: 'Give back' }).waitFor();
    expect(stateOf(0)).toMatchObject({ state: 'Unusable', reason: 'held', detail: 'looks odd' });
    // The buttons are others now: the focus has not fallen out of the panel, nor on one of them.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('reason');
    await tabTo('Give back');
    await page.keyboard.press('Space');
    await panel.getByText(`${nameOf(0)} goes to the scrub`).waitFor();
    await leavePanel(0);

    await openPanel(1);
    await page.keyboard.type('new kernel');
    await tabTo('Drain');
    await page.keyboard.press('Enter');
    await panel.getByText(`${nameOf(1)} is drained`).waitFor();
    expect(stateOf(1)).toMatchObject({ state: 'Unusable', detail: expect.stringContaining('new kernel') });
    await leavePanel(1);

    await openPanel(2);
    await tabTo('Retire');
    await page.keyboard.press('Enter');
    expect(await focusedName()).toBe(`Really retire ${nameOf(2)}`);
    expect(stateOf(2)).toMatchObject({ state: 'Free' });
    await page.keyboard.press('Enter');
    await panel.getByText(/is being retired/).waitFor();
    await panel.getByRole('button', { name: 'Hold' }).waitFor({ state: 'hidden' });
    // Nothing more can be ordered: what is left is the way out.
    expect(await focusedName()).toBe('Close');
    await page.keyboard.press('Enter');
    await panel.waitFor({ state: 'hidden' });

    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    expect(await focusedName()).toBe('Sign out');
    await page.keyboard.press('Enter');
    await page.getByText('not signed in').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('token');
    expect(complaints).toEqual([]);
  });

  it('the first stop is a way past everything to the VMs', async () => {
    await open({ vms: 2 });
    await signIn();
    await page.getByText('live, as operator').waitFor();
    await page.reload();
    await tile(/Free/).first().waitFor();
    await page.keyboard.press('Tab');
    expect(await focusedName()).toBe('Skip to the VMs');
    expect(await page.getByRole('link', { name: 'Skip to the VMs' }).isVisible()).toBe(true);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe(nameOf(0));
  });
});

describe('what a screen reader says', () => {
  it('names every part, VM, number and order', async () => {
    await open({ vms: 2 });
    await begin('7.srv');
    await pool.service.hold(nameOf(1), 'for <b>me</b>', null, 'tester');
    await begin('8.srv');
    await signIn();
    await tile(/Busy/).waitFor();
    const said = await page.getByRole('main').ariaSnapshot();
    const lines = said.split('\n').map((line) => line.trim());
    for (const heading of ['Problems', 'Now', 'Over time', 'VMs', 'Waiting requests', 'Cells', 'Events']) {
      expect(lines).toContain(`- heading "${heading}" [level=2]`);
      expect(lines.some((line) => line.startsWith(`- region "${heading}"`))).toBe(true);
    }
    for (const table of ['Waiting requests', 'Cells'])
      expect(lines.some((line) => line.startsWith(`- table "${table}"`))).toBe(true);
    for (const list of ['Problems', 'VMs', 'Events'])
      expect(lines.some((line) => line.startsWith(`- list "${list}"`))).toBe(true);
    expect(said).toMatch(
      new RegExp(`- button "${nameOf(0)} Busy for \\d+ s job 7\\.srv of ann \\d+ [^"]+ old, not probed yet"`),
    );
    expect(said).toMatch(new RegExp(`- button "${nameOf(1)} held for \\d+ s for <b>me</b> `));
    expect(said).toMatch(/- img "VMs by state \(busy, free, unusable, from below\)[^"]* at most 2\."/);
    expect(said).toMatch(/2 VMs of at most \d+: 0 free, 1 busy, 1 unusable; 1 request waiting; 1 problem/);
    // What changes is said by itself, and only once.
    const spoken = await page
      .locator('[aria-live], [role=status], [role=alert], output')
      .evaluateAll((found) => found.map((one) => one.id).toSorted());
    expect(spoken).toEqual(['connection', 'order-answer', 'refusal', 'shown', 'summary']);
    await tile(/held/).click();
    const panel = await page.getByRole('dialog', { name: nameOf(1) }).ariaSnapshot();
    for (const part of ['textbox "Reason"', 'button "Give back"', 'button "Retire"', 'button "Close"'])
      expect(panel).toContain(part);
  });

  it('names each of many small squares too', async () => {
    await open({ vms: 200 });
    await signIn();
    const name = nameOf(41);
    await page
      .getByRole('button', { name: new RegExp(`^${name}: Free for \\d+ s; \\d+ [^,]+ old, not probed yet$`) })
      .waitFor();
  });
});

describe('looks', () => {
  /** Text that is cut off, small or outside, and what is too small for a finger (WCAG 2.2: 24 pixels). */
  const unreadable = (width: number): Promise<readonly string[]> =>
    page.evaluate((limit) => {
      const wrong: string[] = [];
      const shown = [...document.querySelectorAll<HTMLElement>('body *')].filter(
        (one) => one.checkVisibility({ visibilityProperty: true }) && !one.matches('.sr, .skip, svg *'),
      );
      for (const one of shown) {
        const own = [...one.childNodes].some(
          (child) => child.nodeType === Node.TEXT_NODE && (child.textContent ?? '').trim() !== '',
        );
        const { left, right, height, width: wide } = one.getBoundingClientRect();
        const name = `${one.tagName} ${one.id} ${(one.textContent ?? '').slice(0, 40)}`;
        if (own && parseFloat(getComputedStyle(one).fontSize) < 12) wrong.push(`small: ${name}`);
        if (own && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')
          wrong.push(`cut off: ${name}`);
        if (own && (left < 0 || right > limit)) wrong.push(`outside: ${name}`);
        if (one.matches('button, input, select') && (height < 24 || wide < 24)) wrong.push(`tiny: ${name}`);
      }
      return wrong.slice(0, 20);
    }, width);

  /** All that there is to be shown at once, with words of a usual length. */
  async function trouble(): Promise<void> {
    await begin('1047.torque.example.org');
    await pool.service.hold(
      nameOf(1),
      'core dumps of job 1046, for the group of nuclear physics',
      null,
      'tester',
    );
    await pool.clock.advance(4_000_000);
    await begin('1048.torque.example.org');
    const cell = 'c001' as CellName;
    const message = 'error: 409 Conflict: quota exceeded for resources: port. Used 40, requested 1';
    const result = { ok: false, state: null, message };
    await pool.keeper.dispatch({ type: 'runEnded', wish: { cell, members: [], retire: [] }, result });
    pool.count();
    pool.services.push({
      ...{ name: 'nagios', type: 'nagios', stack: 'p-svc-nagios', hosts: 1, toAdd: 1, toRemove: 0 },
      ...{ running: false, upToDate: false, nextTry: null, lastError: 'ssh: connect: no route to host' },
      behindSince: new Date(pool.clock.now() - 3_000_000).toISOString(),
    });
  }

  it.each([
    ['light', 1200, 3],
    ['dark', 1200, 3],
    ['light', 360, 2],
    ['dark', 360, 2_000],
    ['light', 1200, 2_000],
  ] as const)('%s, %d pixels wide, %d VMs: readable, nothing sticks out', async (colorScheme, width, vms) => {
    await open({ colorScheme, width, height: width === 360 ? 740 : 900, vms });
    if (vms === 2) await trouble();
    await signIn();
    await page.getByText(`${String(vms)} VMs`, { exact: true }).waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBeLessThanOrEqual(width);
    expect(await unreadable(width)).toEqual([]);
    await keep(`${colorScheme}-${String(width)}-${String(vms)}`);
    if (vms > 1000) {
      await page.getByLabel('Find').fill('-0777');
      await page.getByText('1 of 2000 VMs').waitFor();
    }
    await accessible();
    expect(complaints).toEqual([]);
  });
});
