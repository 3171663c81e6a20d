import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import type { ConvergeResult } from '../../src/engine/port.js';
import { collectEvents, stackOf, startEngineBench, until, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

const membersIn = (result: ConvergeResult): readonly string[] =>
  (result.state?.instances ?? []).map(({ member }) => member).sort();

describe('a cell brought to its wish', () => {
  let bench: EngineBench;
  beforeAll(async () => {
    bench = await startEngineBench();
  }, minutes);
  afterAll(() => bench.close(), minutes);

  it(
    'reports each member while one stuck in BUILD holds the update, and keeps them when that one is deleted',
    async () => {
      await bench.fault({ effect: { kind: 'stuck-in-build' }, server: 'p-4-dd' });
      const { events, take } = collectEvents();
      const members = ['p-1-aa', 'p-2-bb', 'p-3-cc', 'p-4-dd'].map((name) => bench.member(name));
      let ended = false;
      const update = bench.engine.converge(bench.wish('c001', members), take, never).finally(() => {
        ended = true;
      });
      await until('three members are reported', () => events.length === 3);
      expect(ended).toBe(false);
      const servers = await bench.servers();
      expect(events.map(({ type, member }) => ({ type, member })).sort((a, b) => (a.member < b.member ? -1 : 1))).toEqual(
        ['p-1-aa', 'p-2-bb', 'p-3-cc'].map((member) => ({ type: 'created', member })),
      );
      for (const event of events) {
        expect(event).toMatchObject({ serverId: servers.get(event.member) });
        expect(event.type === 'created' && event.addresses['net0']).toEqual([expect.stringMatching(/^127\.77\./)]);
      }
      const stuck = servers.get('p-4-dd');
      expect(stuck).toBeDefined();
      if (stuck !== undefined) {
        await bench.cloud.deleteServer(stuck, never);
      }
      const result = await update;
      expect(result.ok).toBe(false);
      expect(events.slice(3)).toEqual([
        expect.objectContaining({ type: 'createFailed', member: 'p-4-dd', message: expect.stringContaining('p-4-dd') }),
      ]);
      expect(membersIn(result)).toEqual(expect.arrayContaining(['p-1-aa', 'p-2-bb', 'p-3-cc']));
    },
    3 * minutes,
  );

  it(
    'retires the member whose create failed and another one, in one update, and makes a new one beside them',
    async () => {
      const { events, take } = collectEvents();
      const members = ['p-1-aa', 'p-3-cc', 'p-5-ee'].map((name) => bench.member(name));
      const result = await bench.engine.converge(bench.wish('c001', members, ['p-2-bb', 'p-4-dd']), take, never);
      expect(result).toMatchObject({ ok: true });
      expect(membersIn(result)).toEqual(['p-1-aa', 'p-3-cc', 'p-5-ee']);
      expect(events.map(({ type, member }) => `${type} ${member}`).sort()).toEqual([
        'created p-5-ee',
        'removed p-2-bb',
        'removed p-4-dd',
      ]);
      expect([...(await bench.servers()).keys()].sort()).toEqual(['p-1-aa', 'p-3-cc', 'p-5-ee']);
    },
    3 * minutes,
  );

  it(
    'shows no change and exactly its instances to the plain command line',
    async () => {
      const preview = await bench.plain(stackOf(bench, 'c001'), ['preview', '--json']);
      expect(preview.code).toBe(0);
      const json = JSON.parse(preview.output.slice(preview.output.indexOf('{'), preview.output.lastIndexOf('}') + 1)) as {
        changeSummary: Record<string, number>;
      };
      // The instances and the stack itself.
      expect(json.changeSummary).toEqual({ same: 4 });
      const mine = await bench.engine.preview(
        bench.wish('c001', ['p-1-aa', 'p-3-cc', 'p-5-ee'].map((name) => bench.member(name))),
        never,
      );
      expect(mine.changes).toEqual({ same: 4 });
    },
    2 * minutes,
  );

  it(
    'publishes id, name, addresses and generation of each member as outputs',
    () => {
      const outputs = JSON.parse(pulumi(bench, ['stack', 'output', '--json', '--stack', stackOf(bench, 'c001')])) as {
        members: Record<string, unknown>;
      };
      expect(Object.keys(outputs.members).sort()).toEqual(['p-1-aa', 'p-3-cc', 'p-5-ee']);
      expect(outputs.members['p-1-aa']).toEqual({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        name: 'p-1-aa',
        addresses: { net0: [expect.stringMatching(/^127\.77\./)] },
        generation: bench.member('p-1-aa').generation,
      });
    },
    minutes,
  );

  it(
    'keeps every credential out of the state',
    () => {
      const state = pulumi(bench, ['stack', 'export', '--show-secrets', '--stack', stackOf(bench, 'c001')]);
      expect(state).toContain('p-1-aa');
      expect(state).not.toContain(bench.embedded.env['OS_PASSWORD'] ?? 'no password');
      expect(state).not.toContain('correct horse');
    },
    minutes,
  );

  it(
    'leaves a server that neither list names alone and reports it as unlisted',
    async () => {
      const members = ['p-1-aa', 'p-3-cc'].map((name) => bench.member(name));
      const { events, take } = collectEvents();
      const result = await bench.engine.converge(bench.wish('c001', members), take, never);
      expect(result).toMatchObject({ ok: true, state: { unlisted: ['p-5-ee'] } });
      expect(events).toEqual([]);
      expect((await bench.servers()).has('p-5-ee')).toBe(true);
      expect(await bench.actions()).toEqual({ 'p-1-aa': [], 'p-3-cc': [], 'p-5-ee': [] });
    },
    2 * minutes,
  );

  it(
    'empties the cell when everything is to go',
    async () => {
      const result = await bench.engine.converge(
        bench.wish('c001', [], ['p-1-aa', 'p-3-cc', 'p-5-ee']),
        () => undefined,
        never,
      );
      expect(result).toEqual({ ok: true, state: { instances: [], lostCreates: [], unlisted: [] } });
      expect((await bench.servers()).size).toBe(0);
    },
    2 * minutes,
  );
});

const pulumi = (bench: EngineBench, args: readonly string[]): string =>
  execFileSync(bench.options.pulumi.bin, [...args], {
    cwd: bench.options.repoRoot,
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'],
      HOME: bench.directory,
      PULUMI_HOME: bench.options.pulumi.home,
      PULUMI_BACKEND_URL: bench.options.backendUrl,
      PULUMI_CONFIG_PASSPHRASE_FILE: bench.options.passphraseFile,
      PULUMI_SKIP_UPDATE_CHECK: 'true',
    },
  });
