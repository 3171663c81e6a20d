import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerView } from '../../src/cloud/port.js';
import { endProcess } from '../../src/engine/orphans.js';
import type { CellWish } from '../../src/engine/port.js';
import type { MemberName } from '../../src/pool/model.js';
import { engineContract, type EngineUnderTest, type KillPoint } from '../support/engine-contract.js';
import { stackOf, startEngineBench, until } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

/** Points at which no server may be made yet: the cloud takes its time until both are done. */
const early: readonly KillPoint[] = ['before the lock of a create', 'under its lock, before a create'];

/** Pulumi on the embedded cloud. Killed is the `pulumi` of one cell, with SIGKILL. */
const open = async (): Promise<EngineUnderTest> => {
  const bench = await startEngineBench({ engine: { orphanGraceMs: 0, maxParallel: 8 } });
  const file = (directory: string, stack: string): string =>
    join(bench.directory, '.pulumi', directory, 'organization', 'vmpool', stack);
  const isLocked = (stack: string): boolean => {
    const directory = file('locks', stack);
    return existsSync(directory) && readdirSync(directory).some((name) => name.endsWith('.json'));
  };
  /** Is the member's server in the state of its cell? */
  const isKnown = (stack: string, name: MemberName): boolean => {
    const path = join(bench.directory, '.pulumi', 'stacks', 'vmpool', `${stack}.json`);
    if (!existsSync(path)) return false;
    const { checkpoint } = JSON.parse(readFileSync(path, 'utf8')) as {
      checkpoint: { latest?: { resources?: { urn: string; id?: string }[] } };
    };
    return (checkpoint.latest?.resources ?? []).some(
      ({ urn, id }) => urn.endsWith(`::${name}`) && id !== undefined && id !== '',
    );
  };
  const pulumiOf = (stack: string): readonly number[] =>
    bench.processes('pulumi').filter((pid) => {
      try {
        return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0').includes(stack);
      } catch {
        return false;
      }
    });

  type Look = (stack: string, server: ServerView | undefined, name: MemberName) => boolean;
  const reached: Readonly<Record<KillPoint, Look>> = {
    'before the lock of a create': () => true,
    'under its lock, before a create': isLocked,
    'while the server is in BUILD': (_, server) => server?.status === 'BUILD',
    'when the server is ACTIVE and in no state': (stack, server, name) =>
      server?.status === 'ACTIVE' && !isKnown(stack, name),
    'when the server is in the state and the update has not ended': (stack, _, name) => isKnown(stack, name),
    'before a delete': () => true,
    'while the server is being deleted': (_, server) => server?.taskState === 'deleting',
    'when the server is gone and still in the state': (stack, server, name) =>
      server === undefined && isKnown(stack, name),
    'when the server is out of the state and the update has not ended': (stack, _, name) =>
      !isKnown(stack, name),
  };

  const serversNow = async (): Promise<readonly ServerView[]> => (await bench.cloud.listOurs(never)).servers;
  const names = async (): Promise<readonly string[]> => (await serversNow()).map(({ name }) => name);

  const holdUp = async (point: KillPoint, { members, retire }: CellWish, name: MemberName): Promise<void> => {
    const holder = [...members.map((member) => member.name), ...retire].find((each) => each !== name);
    if (point === 'while the server is in BUILD')
      await bench.fault({ effect: { kind: 'stuck-in-build' }, server: name });
    if (point === 'before a delete' || point === 'while the server is being deleted')
      await bench.fault({ effect: { kind: 'delete-hangs' }, server: name });
    if (holder !== undefined)
      await bench.fault({
        effect: { kind: members.length > 0 ? 'stuck-in-build' : 'delete-hangs' },
        server: holder,
      });
  };

  let earlyToCome = early.length;
  let earlyAreDone: () => void = () => undefined;
  const afterEarly = new Promise<void>((resolve) => (earlyAreDone = resolve));
  const slowly = { kind: 'api-slow', method: 'POST', path: '*servers', ms: 10 * minutes } as const;
  let createsWait: Promise<void> | null = null;

  return {
    member: (name) => bench.member(name),
    converge: (wish) => bench.engine.converge(wish, () => undefined, never),
    killedAt: async (point, wish, name) => {
      if (early.includes(point)) await (createsWait ??= bench.fault({ effect: slowly }));
      else await afterEarly;
      await holdUp(point, wish, name);
      const stack = stackOf(bench, wish.cell);
      let hasEnded = false;
      const update = bench.engine
        .converge(wish, () => undefined, never)
        .finally(() => {
          hasEnded = true;
        });
      await until(
        `killed ${point}`,
        async () => {
          if (hasEnded) throw new Error(`the update ended and was never killed ${point}`);
          if (pulumiOf(stack).length === 0) return false;
          const servers = early.includes(point) ? [] : await serversNow();
          const server = servers.find((each) => each.name === name);
          if (!reached[point](stack, server, name)) return false;
          for (const pid of pulumiOf(stack)) endProcess(pid, 'SIGKILL');
          return true;
        },
        5 * minutes,
      );
      const killed = { result: await update, servers: await names() };
      if (early.includes(point)) {
        earlyToCome -= 1;
        if (earlyToCome === 0) {
          await bench.clearFaults();
          earlyAreDone();
        }
      }
      return killed;
    },
    recover: () => bench.clearFaults(),
    servers: names,
    close: () => bench.close(),
  };
};

engineContract('the engine that runs Pulumi', open, 8 * minutes);
