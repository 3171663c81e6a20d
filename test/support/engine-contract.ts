import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CellMember, CellWish, ConvergeResult } from '../../src/engine/port.js';
import type { CellName, MemberName } from '../../src/pool/model.js';

/** Moments of an update at which whatever carries it out can be killed, in the order in which they come. */
export const createPoints = [
  'before the lock of a create',
  'under its lock, before a create',
  'while the server is in BUILD',
  'when the server is ACTIVE and in no state',
  'when the server is in the state and the update has not ended',
] as const;
export const deletePoints = [
  'before a delete',
  'while the server is being deleted',
  'when the server is gone and still in the state',
  'when the server is out of the state and the update has not ended',
] as const;
export type CreatePoint = (typeof createPoints)[number];
export type DeletePoint = (typeof deletePoints)[number];
export type KillPoint = CreatePoint | DeletePoint;

/** What may be true when an update was killed at a point, and after the next one. */
interface Promised {
  readonly server: 'there' | 'not there';
  /** `made`: in the state. `lost`: in none, and never tried again under that name. `removed`: gone from everywhere. */
  readonly next: readonly ('made' | 'lost' | 'removed')[];
}

const promised: Readonly<Record<KillPoint, Promised>> = {
  'before the lock of a create': { server: 'not there', next: ['made'] },
  // Nobody can know whether a create that is on record was carried out.
  'under its lock, before a create': { server: 'not there', next: ['made', 'lost'] },
  'while the server is in BUILD': { server: 'there', next: ['lost'] },
  'when the server is ACTIVE and in no state': { server: 'there', next: ['lost'] },
  'when the server is in the state and the update has not ended': { server: 'there', next: ['made'] },
  'before a delete': { server: 'there', next: ['removed'] },
  'while the server is being deleted': { server: 'there', next: ['removed'] },
  'when the server is gone and still in the state': { server: 'not there', next: ['removed'] },
  'when the server is out of the state and the update has not ended': {
    server: 'not there',
    next: ['removed'],
  },
};

export interface Killed {
  /** What the caller of the update got. */
  readonly result: ConvergeResult;
  /** Names of the servers that the cloud had then, one for each server. */
  readonly servers: readonly string[];
}

/** An engine with a cloud of its own, as the contract needs them. */
export interface EngineUnderTest {
  member(name: string): CellMember;
  converge(wish: CellWish): Promise<ConvergeResult>;
  /**
   * Begins the update and kills what carries it out at that point of the life of `name`. Members called
   * `hold-...` may be used to keep the update from ending.
   */
  killedAt(point: KillPoint, wish: CellWish, name: MemberName): Promise<Killed>;
  /** Called when all kills are done: from here on nothing is held up. */
  recover(): Promise<void>;
  /** Names of the servers that the cloud has, one for each server. */
  servers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

interface Seen {
  readonly name: MemberName;
  readonly killed: Killed;
  readonly next: ConvergeResult;
  readonly serversNext: readonly string[];
  readonly last: ConvergeResult;
  readonly serversLast: readonly string[];
}

const failureOf = (result: ConvergeResult): string | null => (result.ok ? null : result.message);

const isDelete = (point: KillPoint): point is DeletePoint =>
  (deletePoints as readonly KillPoint[]).includes(point);

/**
 * What every engine promises, whatever kills it: the simulated one, on whose word the core is tried, and the one
 * that runs Pulumi. Each point has a cell of its own; all cells are killed, and then recovered, side by side.
 */
export function engineContract(name: string, open: () => Promise<EngineUnderTest>, limitMs: number): void {
  const points: readonly KillPoint[] = [...createPoints, ...deletePoints];

  describe(`${name}, killed`, () => {
    const seen = new Map<KillPoint, Seen>();
    let engine: EngineUnderTest;

    beforeAll(async () => {
      engine = await open();
      await Promise.all(points.map((point, at) => prepare(engine, point, at)));
      const kills = new Map<KillPoint, Killed>();
      await Promise.all(
        points.map(async (point, at) => {
          kills.set(point, await engine.killedAt(point, wishOf(engine, point, at), nameOf(at)));
        }),
      );
      await engine.recover();
      await Promise.all(
        points.map(async (point, at) => {
          const next = await engine.converge(wishOf(engine, point, at));
          const serversNext = await engine.servers();
          const retired = { ...wishOf(engine, point, at), members: [], retire: [nameOf(at), holderOf(at)] };
          const last = await engine.converge(retired);
          const killed = kills.get(point);
          if (killed === undefined) throw new Error(`nothing was seen of the kill ${point}`);
          const serversLast = await engine.servers();
          seen.set(point, { name: nameOf(at), killed, next, serversNext, last, serversLast });
        }),
      );
    }, limitMs);
    afterAll(() => engine.close(), limitMs);

    const at = (point: KillPoint): Seen => {
      const found = seen.get(point);
      if (found === undefined) throw new Error(`nothing was seen of the kill ${point}`);
      return found;
    };
    const count = (servers: readonly string[], member: string): number =>
      servers.filter((server) => server === member).length;
    const instances = ({ state }: ConvergeResult): readonly string[] =>
      (state?.instances ?? []).map(({ member }) => member);

    it.each(points)('%s: the update has failed, and the server is there once or not at all', (point) => {
      const { name, killed } = at(point);
      expect(killed.result.ok).toBe(false);
      expect(count(killed.servers, name)).toBe(promised[point].server === 'there' ? 1 : 0);
    });

    it.each(points)('%s: the next update ends well and knows what became of it', (point) => {
      const { name, killed, next, serversNext } = at(point);
      expect(failureOf(next)).toBeNull();
      expect(next).toMatchObject({ ok: true, state: { unlisted: [] } });
      const made = instances(next).includes(name);
      const lost = (next.state?.lostCreates ?? []).includes(name);
      expect(made && lost).toBe(false);
      const became = made ? 'made' : lost ? 'lost' : 'removed';
      expect(promised[point].next).toContain(became);
      // What was lost is not tried again, and nothing is ever made a second time.
      expect(count(serversNext, name)).toBe(
        became === 'made' ? 1 : became === 'lost' ? count(killed.servers, name) : 0,
      );
    });

    it.each(points)('%s: retired, it leaves the state, and what was lost is left to Nova', (point) => {
      const { name, next, last, serversNext, serversLast } = at(point);
      expect(failureOf(last)).toBeNull();
      expect(last).toMatchObject({ ok: true, state: { instances: [], unlisted: [] } });
      const lost = (next.state?.lostCreates ?? []).includes(name);
      expect(count(serversLast, name)).toBe(lost ? count(serversNext, name) : 0);
    });
  });
}

const nameOf = (at: number): MemberName => `p-${String(at + 1)}-aa` as MemberName;
const holderOf = (at: number): MemberName => `hold-${String(at + 1)}-bb` as MemberName;
const cellOf = (at: number): CellName => `c${String(at + 1).padStart(3, '0')}` as CellName;

/** Another member that is made, or goes, in the same update, at the points where that must not have ended. */
const needsHolder = (point: KillPoint): boolean => point.includes('has not ended');

/** Deletes need something to delete. */
const prepare = async (engine: EngineUnderTest, point: KillPoint, at: number): Promise<void> => {
  if (!isDelete(point)) return;
  const names = needsHolder(point) ? [nameOf(at), holderOf(at)] : [nameOf(at)];
  const members = names.map((name) => engine.member(name));
  const made = await engine.converge({ cell: cellOf(at), members, retire: [] });
  if (!made.ok) throw new Error(`${names.join(' and ')} could not be made: ${made.message}`);
};

const wishOf = (engine: EngineUnderTest, point: KillPoint, at: number): CellWish => {
  const names = needsHolder(point) ? [nameOf(at), holderOf(at)] : [nameOf(at)];
  return isDelete(point)
    ? { cell: cellOf(at), members: [], retire: names }
    : { cell: cellOf(at), members: names.map((name) => engine.member(name)), retire: [] };
};
