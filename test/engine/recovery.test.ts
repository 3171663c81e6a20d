import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { endProcess } from '../../src/engine/orphans.js';
import type { CellWish, ConvergeResult } from '../../src/engine/port.js';
import { collectEvents, stackOf, startEngineBench, until, type EngineBench } from '../support/engine.js';
import { lostAddresses } from '../../src/pool/addresses.js';
import { emptyBook, emptySight } from '../../src/pool/book.js';
import type { InstallationId, ServerId } from '../../src/pool/model.js';
import { historyDirectory, statePath } from '../../src/engine/state-copies.js';

const minutes = 60_000;
const never = new AbortController().signal;

const emptyState = { book: emptyBook('none' as InstallationId, 'p', 0), sight: emptySight };

const membersIn = (result: ConvergeResult): readonly string[] =>
  (result.state?.instances ?? []).map(({ member }) => member).sort();

describe('an engine that was killed', () => {
  let bench: EngineBench;
  let sequence = 0;
  beforeAll(async () => {
    // No patience with orphans, so that they are killed in the middle of what they do.
    bench = await startEngineBench({ engine: { orphanGraceMs: 0 }, cloud: { timing: { buildMs: 1000 } } });
  }, minutes);
  afterAll(() => bench.close(), minutes);
  afterEach(() => bench.clearFaults());

  /** Each test has a cell and names of its own. */
  const next = (): { readonly cell: string; readonly name: string; readonly other: string } => {
    sequence += 1;
    return { cell: `c00${sequence}`, name: `p-${sequence}1-aa`, other: `p-${sequence}2-bb` };
  };

  const converge = (wish: CellWish): Promise<ConvergeResult> =>
    bench.engine.converge(wish, () => undefined, never);

  const locks = (cell: string): readonly string[] => {
    const directory = join(bench.directory, '.pulumi', 'locks', 'organization', 'vmpool', stackOf(bench, cell));
    return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.json')) : [];
  };

  const state = (cell: string): string =>
    readFileSync(join(bench.directory, '.pulumi', 'stacks', 'vmpool', `${stackOf(bench, cell)}.json`), 'utf8');

  const hasState = (cell: string): boolean =>
    existsSync(join(bench.directory, '.pulumi', 'stacks', 'vmpool', `${stackOf(bench, cell)}.json`));

  /** Names of the OpenStack resources in a cell's state. */
  const recorded = (cell: string): readonly string[] => {
    const file = JSON.parse(state(cell)) as {
      checkpoint: { latest?: { resources?: { urn: string; type: string; id?: string }[] } };
    };
    return (file.checkpoint.latest?.resources ?? [])
      .filter(({ type, id }) => type.startsWith('openstack:') && id !== undefined && id !== '')
      .map(({ urn }) => urn.slice(urn.lastIndexOf('::') + 2))
      .sort();
  };

  /** How many floating IPs the cloud has for a member. */
  const floatingIps = async (member: string): Promise<number> => {
    const found = await bench.floatingIps();
    return found.filter((description) => description.endsWith(` ${member}`)).length;
  };

  /** Kills Pulumi at the moment when the server is made and it does not know it yet. */
  const killInCreate = async (wish: CellWish, name: string): Promise<ConvergeResult> => {
    const update = converge(wish);
    await until('the server is in the cloud', async () => (await bench.servers()).has(name));
    for (const pid of bench.processes('pulumi')) {
      endProcess(pid, 'SIGKILL');
    }
    return update;
  };

  it(
    'with its pulumi in the middle of a create never tries that name again and goes on with the others',
    async () => {
      const { cell, name, other } = next();
      const wish = bench.wish(cell, [bench.member(name)]);
      const killed = await killInCreate(wish, name);
      expect(killed).toMatchObject({ ok: false, kind: 'killed', message: expect.stringContaining('killed') });
      expect(killed.state?.lostCreates).toEqual([name]);
      expect(locks(cell)).toHaveLength(1);
      expect(state(cell)).toContain('"pending_operations"');

      const { events, take } = collectEvents();
      const again = await bench.engine.converge(
        bench.wish(cell, [bench.member(name), bench.member(other)]),
        take,
        never,
      );
      expect(again).toMatchObject({ ok: true, state: { lostCreates: [name] } });
      expect(membersIn(again)).toEqual([other]);
      expect(events.map(({ type, member }) => `${type} ${member}`)).toEqual([`created ${other}`]);
      expect(locks(cell)).toEqual([]);
      expect([...(await bench.servers()).keys()].filter((each) => each === name)).toEqual([name]);

      // Still remembered by a new engine, and forgotten once nobody names it.
      const third = await converge(bench.wish(cell, [bench.member(name), bench.member(other)]));
      expect(third).toMatchObject({ ok: true, state: { lostCreates: [name] } });
      const gone = await converge(bench.wish(cell, [bench.member(other)], [name]));
      expect(gone.ok).toBe(true);
      expect(membersIn(gone)).toEqual([other]);
    },
    3 * minutes,
  );

  it(
    'with its pulumi in the middle of a create says so, and the next call recovers and leaves no floating IP behind',
    async () => {
      const { cell, name, other } = next();
      const wish = bench.wish(cell, [bench.member(name, { floatingIpPool: 'public' })]);
      const update = converge(wish);
      await until('the floating IP is in the state and the server in the cloud', async () =>
        hasState(cell) && recorded(cell).includes(`${name}.floating-ip`) && (await bench.servers()).has(name),
      );
      expect(await floatingIps(name)).toBe(1);
      for (const pid of [...bench.processes('node'), ...bench.processes('pulumi')]) {
        endProcess(pid, 'SIGKILL');
      }
      expect(await update).toMatchObject({ ok: false, state: null, kind: 'engine', message: expect.stringContaining('SIGKILL') });

      const again = await converge(bench.wish(cell, [bench.member(name, { floatingIpPool: 'public' }), bench.member(other)]));
      expect(again).toMatchObject({ ok: true, state: { lostCreates: [name], unlisted: [] } });
      expect(await floatingIps(name)).toBe(0);
      expect(recorded(cell)).toEqual([other]);
      expect(locks(cell)).toEqual([]);
      const preview = await bench.plain(stackOf(bench, cell), ['preview', '--expect-no-changes']);
      expect(preview.code).toBe(0);
    },
    3 * minutes,
  );

  it(
    'while a floating IP is made keeps the server and does not make a second one',
    async () => {
      const { cell, name } = next();
      const wish = bench.wish(cell, [bench.member(name, { floatingIpPool: 'public' })]);
      await bench.fault({ effect: { kind: 'api-slow', method: 'POST', path: '*floatingips*', ms: 40_000 } });
      const update = converge(wish);
      await until('the server is in the state', () => hasState(cell) && recorded(cell).includes(name));
      for (const pid of bench.processes('pulumi')) {
        endProcess(pid, 'SIGKILL');
      }
      expect((await update).ok).toBe(false);
      await bench.clearFaults();

      for (let round = 0; round < 2; round += 1) {
        const again = await converge(wish);
        expect(again).toMatchObject({ ok: true, state: { instances: [{ member: name }], lostCreates: [], unlisted: [] } });
        expect(recorded(cell)).toEqual([name]);
      }
      const gone = await converge(bench.wish(cell, [], [name]));
      expect(gone).toEqual({ ok: true, state: { instances: [], lostCreates: [], unlisted: [] } });
    },
    3 * minutes,
  );

  it(
    'leaves a floating IP whose allocation was never answered to be found by its description and released',
    async () => {
      const { cell, name } = next();
      const wish = bench.wish(cell, [bench.member(name, { floatingIpPool: 'public' })]);
      await bench.fault({ effect: { kind: 'lost-answer', method: 'POST', path: '*floatingips*' }, times: 1 });
      const first = await converge(wish);
      await bench.clearFaults();
      // The plugin has asked once more if another connection was open; if not, its update failed, and the next one asks.
      if (!first.ok) expect(first.message).toContain('Error creating openstack_networking_floatingip_v2');
      const made = first.ok ? first : await converge(wish);
      expect(made).toMatchObject({ ok: true, state: { instances: [{ member: name }], lostCreates: [], unlisted: [] } });
      expect(await floatingIps(name)).toBe(2);
      const [spare, ...others] = lostAddresses(emptyState, await bench.cloud.floatingIps(never));
      expect(spare).toMatchObject({ member: name, isAssociated: false });
      expect(others).toEqual([]);
      await bench.cloud.releaseFloatingIp(spare?.id ?? '', never);
      expect(await bench.cloud.floatingIps(never)).toMatchObject([{ member: name, isAssociated: true }]);
      const preview = await bench.plain(stackOf(bench, cell), ['preview', '--expect-no-changes']);
      expect(preview.code).toBe(0);
      expect((await converge(bench.wish(cell, [], [name]))).ok).toBe(true);
      expect(await floatingIps(name)).toBe(0);
    },
    3 * minutes,
  );

  it(
    'where Neutron did not tell the port of a new server associates its floating IP in the next update',
    async () => {
      const { cell, name, other } = next();
      const wish = bench.wish(cell, [bench.member(name, { floatingIpPool: 'public' })]);
      await bench.fault({ effect: { kind: 'api-error', method: 'GET', path: '*ports*', status: 403 } });
      const first = await converge(wish);
      expect(first).toMatchObject({ ok: false, message: expect.stringContaining('could not be looked up') });
      await bench.clearFaults();
      const second = await converge(wish);
      expect(second).toMatchObject({ ok: true, state: { instances: [{ member: name }], lostCreates: [], unlisted: [] } });
      expect(await bench.cloud.floatingIps(never)).toMatchObject([{ member: name, isAssociated: true }]);

      // One that somebody has deleted has no port, and holds up nobody.
      const [made] = second.state?.instances ?? [];
      await bench.cloud.deleteServer(made?.serverId ?? ('none' as ServerId), never);
      await until('the server is gone', async () => !(await bench.servers()).has(name));
      const third = await converge(bench.wish(cell, [bench.member(name, { floatingIpPool: 'public' }), bench.member(other)]));
      expect(third.ok).toBe(true);
      expect(membersIn(third)).toContain(other);
      expect((await converge(bench.wish(cell, [], [name, other]))).ok).toBe(true);
      expect(await floatingIps(name)).toBe(0);
    },
    3 * minutes,
  );

  it(
    'of a server whose answer was lost knows which one is in its stack, or says in the words of the provider that none is',
    async () => {
      const { cell, name } = next();
      await bench.fault({ effect: { kind: 'lost-answer', method: 'POST', path: '/v2.1/servers' }, times: 1 });
      const result = await converge(bench.wish(cell, [bench.member(name)]));
      await bench.clearFaults();
      const { servers } = await bench.cloud.listOurs(never);
      const ids = servers.filter((server) => server.name === name).map(({ id }) => String(id));
      if (result.ok) {
        // Another connection was open, and the plugin asked once more: the pool's book ends the one that no stack has.
        expect(ids).toHaveLength(2);
        expect(ids).toContain(result.state.instances[0]?.serverId);
      } else {
        expect(ids).toHaveLength(1);
        expect(result.message).toContain('Error creating OpenStack server');
        expect(result.message).not.toMatch(/unhandled|TypeError/i);
      }
      for (const id of ids) await bench.cloud.deleteServer(id as ServerId, never);
    },
    3 * minutes,
  );

  it(
    'leaves a cell alone whose list of lost creates is damaged, and says what to write into it',
    async () => {
      const { cell, name } = next();
      const wish = bench.wish(cell, [bench.member(name)]);
      const path = join(dirname(bench.configPath(stackOf(bench, cell))), `${stackOf(bench, cell)}.lost.json`);
      for (const damaged of ['["p-1', '{"name": 1}']) {
        writeFileSync(path, damaged);
        const refused = await converge(wish);
        expect(refused).toMatchObject({ ok: false, state: null, kind: 'state', message: expect.stringContaining('Write into it') });
        expect(readFileSync(path, 'utf8')).toBe(damaged);
      }
      expect((await bench.servers()).has(name)).toBe(false);
      rmSync(path);
    },
    minutes,
  );

  it(
    'leaves the lock of somebody else alone and says whose it is',
    async () => {
      const { cell, name } = next();
      const wish = bench.wish(cell, [bench.member(name)]);
      const directory = join(bench.directory, '.pulumi', 'locks', 'organization', 'vmpool', stackOf(bench, cell));
      mkdirSync(directory, { recursive: true });
      const dead = 4_000_000;
      for (const host of ['elsewhere', hostname()]) {
        const path = join(directory, '11111111-2222-3333-4444-555555555555.json');
        writeFileSync(
          path,
          JSON.stringify({ pid: dead, username: 'ann', hostname: host, timestamp: '2026-01-02T03:04:05Z' }),
        );
        const busy = await converge(wish);
        expect(busy).toMatchObject({ ok: false, kind: 'locked', message: expect.stringContaining(`ann@${host} (pid ${dead})`) });
        expect(existsSync(path)).toBe(true);
        rmSync(path);
      }
      expect((await bench.servers()).has(name)).toBe(false);
    },
    minutes,
  );

  it(
    'leaves a state of a Pulumi that it does not know alone and says what to do',
    async () => {
      const { cell, name } = next();
      const path = statePath(bench.directory, stackOf(bench, cell));
      writeFileSync(path, '{"version": "4"}');
      const broken = await converge(bench.wish(cell, [bench.member(name)]));
      expect(broken).toMatchObject({ ok: false, state: null, kind: 'state', message: expect.stringContaining('has not been touched') });
      expect(readFileSync(path, 'utf8')).toBe('{"version": "4"}');
      rmSync(path);
    },
    minutes,
  );

  it(
    'puts the newest whole copy in place of a torn state: nothing is made twice, touched or left behind',
    async () => {
      const { cell, name, other } = next();
      const stack = stackOf(bench, cell);
      const path = statePath(bench.directory, stack);
      const gone = `${name}-gone`;
      const first = await converge(bench.wish(cell, [bench.member(name), bench.member(gone)]));
      expect(first.ok).toBe(true);
      const earlier = readFileSync(path);
      const second = await converge(bench.wish(cell, [bench.member(name), bench.member(other)], [gone]));
      expect(second.ok).toBe(true);
      // The copies that are left know of `gone` and not yet of `other`.
      for (const file of readdirSync(historyDirectory(bench.directory, stack)))
        rmSync(join(historyDirectory(bench.directory, stack), file));
      writeFileSync(`${path}.bak`, earlier);
      writeFileSync(path, readFileSync(path).subarray(0, 4096));
      const before = await bench.servers();
      const found = (await bench.engine.cells(never)).find((each) => each.cell === cell);
      expect(found?.instances).toBeNull();

      const { putBack, take } = collectEvents();
      const wish = bench.wish(cell, [bench.member(name), bench.member(other)]);
      const third = await bench.engine.converge(wish, take, never);
      expect(putBack).toEqual([expect.stringContaining(`${path}.bak has taken its place`)]);
      expect(third).toMatchObject({ ok: true, state: { lostCreates: [other], unlisted: [gone] } });
      expect(await bench.servers()).toEqual(before);
      expect(existsSync(`${path}.torn`)).toBe(true);

      // What is long gone leaves the state as soon as it is on the list of those that go.
      const fourth = await converge(bench.wish(cell, [bench.member(name), bench.member(other)], [gone]));
      expect(fourth).toMatchObject({ ok: true, state: { lostCreates: [other], unlisted: [] } });
      expect(membersIn(fourth)).toEqual([name]);
      expect(await bench.servers()).toEqual(before);
      const actions = await bench.actions();
      expect(actions[name]).toEqual([]);
      expect(actions[other]).toEqual([]);
    },
    2 * minutes,
  );

  it(
    'begins anew where there is no whole copy of a torn state, and makes nothing that may have been made',
    async () => {
      const { cell, name, other } = next();
      const path = statePath(bench.directory, stackOf(bench, cell));
      writeFileSync(path, '');
      const { putBack, take } = collectEvents();
      const torn = await bench.engine.converge(bench.wish(cell, [bench.member(name)]), take, never);
      expect(putBack).toEqual([expect.stringContaining('there was no whole copy')]);
      expect(torn).toMatchObject({ ok: true, state: { instances: [], lostCreates: [name] } });
      const after = await converge(bench.wish(cell, [bench.member(name), bench.member(other)]));
      expect(after).toMatchObject({ ok: true, state: { lostCreates: [name] } });
      expect(membersIn(after)).toEqual([other]);
      expect((await bench.servers()).has(name)).toBe(false);
    },
    2 * minutes,
  );
});
