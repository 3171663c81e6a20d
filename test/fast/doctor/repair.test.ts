import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { chmodSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { repair } from '../../../src/doctor/repair.js';
import { readStateFile, stackFactsOf } from '../../../src/doctor/stacks.js';
import { installation, TestPlace } from '../backup/place.js';

const clock = { now: () => Date.parse('2026-11-23T10:00:00.000Z') };
const stateOf = (name: string): string => `pulumi/.pulumi/stacks/vmpool/${name}.json`;

let here: TestPlace;
beforeEach(async () => {
  here = new TestPlace();
  here.fill();
  await here.commit(3);
});
afterEach(() => here.close());

const facts = (): ReturnType<typeof stackFactsOf> =>
  stackFactsOf(here.place, 'batch-c001', readStateFile(here.path('pulumi'), 'batch-c001'));

it('a torn state is told from one that is none of a Pulumi known here', () => {
  expect(facts().broken).toBeNull();
  here.put(stateOf('batch-c001'), '{"version":3,"check');
  expect(facts().broken).toMatchObject({ torn: true, path: here.path(stateOf('batch-c001')) });
  here.put(stateOf('batch-c001'), '{"version":"4"}');
  expect(facts().broken).toMatchObject({ torn: false });
});

it('a damaged list of lost creates is written anew', async () => {
  here.put('state/engine/stacks/batch-c001.lost.json', '["a",');
  expect(facts().lost).toBeNull();
  const order = {
    kind: 'lost-list',
    stack: 'batch-c001',
    path: facts().lostPath,
    names: ['batch-0001-a'],
  } as const;
  expect(await repair(here.place, order, clock)).toMatchObject({ ok: true });
  expect(facts().lost).toEqual(['batch-0001-a']);
});

it('modes and the installation are put right', async () => {
  chmodSync(here.place.stateDir, 0o755);
  const mode = { kind: 'mode', path: here.place.stateDir, mode: 0o700 } as const;
  expect(await repair(here.place, mode, clock)).toMatchObject({ ok: true });
  expect(statSync(here.place.stateDir).mode & 0o777).toBe(0o700);
  rmSync(here.path('state/installation'));
  const order = { kind: 'installation', installation } as const;
  expect(await repair(here.place, order, clock)).toMatchObject({ ok: true });
  expect(readFileSync(here.path('state/installation'), 'utf8')).toBe(`${installation}\n`);
});

it('a damaged book gets its newest copy, unless a service runs', async () => {
  const order = { kind: 'book-from-copy' } as const;
  const { store } = await here.serve();
  expect(await repair(here.place, order, clock)).toMatchObject({
    ok: false,
    why: expect.stringMatching(/a service runs/),
  });
  await store.close();
  here.put('state/book.json', 'x');
  expect(await repair(here.place, order, clock)).toMatchObject({ ok: true });
  const opened = await here.serve();
  await opened.store.close();
  expect(opened.book.seq).toBe(3);
});

it('what cannot be done is said, not thrown', async () => {
  const path = here.path('nowhere/x');
  expect(await repair(here.place, { kind: 'mode', path, mode: 0o700 }, clock)).toMatchObject({
    ok: false,
    why: expect.stringContaining('ENOENT'),
  });
  expect(existsSync(path)).toBe(false);
});
