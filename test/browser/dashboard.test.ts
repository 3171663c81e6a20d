/// <reference lib="dom" />
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { ask, tokens } from '../fast/http/harness.js';
import { nastyTexts } from '../fast/hostile/texts.js';
import { serveClasses, servePool, type ServedPool } from '../fast/http/served-pool.js';

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
    const first = ask('7.srv') as Parameters<typeof pool.service.request>[1];
    await pool.service.request('node1', { ...first, processors: 1, queue: '', jobName: '' });
    await tile(/Busy.*job 7\.srv of ann/).waitFor();
    const second = ask('8.srv') as Parameters<typeof pool.service.request>[1];
    const limited = { ...second, processors: 1, queue: '', jobName: '', maxWaitSeconds: 3_600 };
    await pool.service.request('node1', limited);
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
    pool.services.splice(0);
    await page.locator('#services-section').waitFor({ state: 'hidden' });
  });

  it('shows text from jobs and operators as text', async () => {
    await open();
    await signIn();
    await tile(/Free/).first().waitFor();
    const name = pool.keeper.durable().book.members.keys()[0] ?? '';
    const evil = '<img src=x onerror="document.title=1"><b>bold';
    await pool.service.hold(name, evil, null);
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
      await pool.service.hold(names[at] ?? '', one, null);
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
  it('the VMs are one stop; arrows move, Enter opens, Escape closes', async () => {
    await open({ vms: 6 });
    await signIn();
    await tile(/Free/).first().waitFor();
    await page.getByLabel('State', { exact: true }).focus();
    await page.keyboard.press('Tab');
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-vm'));
    const names = pool.keeper.durable().book.members.keys();
    expect(await focused()).toBe(names[0]);
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toBe(names[1]);
    await page.keyboard.press('End');
    expect(await focused()).toBe(names[5]);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: names[5] ?? '' }).waitFor();
    await page.keyboard.press('Escape');
    expect(await page.getByRole('dialog').isVisible()).toBe(false);
    expect(await focused()).toBe(names[5]);
  });
});

describe('looks', () => {
  it.each([
    ['light', 1200, 3],
    ['dark', 1200, 3],
    ['light', 360, 3],
    ['dark', 360, 2_000],
    ['light', 1200, 2_000],
  ] as const)('%s, %d pixels wide, %d VMs: readable, nothing sticks out', async (colorScheme, width, vms) => {
    await open({ colorScheme, width, height: width === 360 ? 740 : 900, vms });
    await signIn();
    await page.getByText(`${String(vms)} VMs`, { exact: true }).waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBeLessThanOrEqual(width);
    await keep(`${colorScheme}-${String(width)}-${String(vms)}`);
    if (vms > 1000) {
      await page.getByLabel('Find').fill('-0777');
      await page.getByText('1 of 2000 VMs').waitFor();
    }
    await accessible();
    expect(complaints).toEqual([]);
  });
});
