import type { CellWish, ConvergeResult } from '../../../src/engine/port.js';
import type { MemberName } from '../../../src/pool/model.js';
import { Agenda } from '../../sim/agenda.js';
import { SimCloud, type SimServer } from '../../sim/cloud.js';
import { SimEngine, type RunResult, type SimRun } from '../../sim/engine.js';
import { Faults } from '../../sim/faults.js';
import { engineContract, type EngineUnderTest, type KillPoint } from '../../support/engine-contract.js';
import { specOf } from '../pool/fixture.js';

const bootLimitMs = 120_000;

const resultOf = ({ ok, state, message }: RunResult): ConvergeResult =>
  ok && state !== null ? { ok, state } : { ok: false, state, kind: 'killed', message: message ?? '' };

/** The simulated engine in a world where nothing goes wrong of itself. One thing happens after the other. */
const open = (seed: number): EngineUnderTest => {
  const agenda = new Agenda(1_800_000_000_000);
  const faults = new Faults(seed, new Set(), {}, () => undefined);
  const cloud = new SimCloud(agenda, faults, seed, 'installation', 'p');
  const engine = new SimEngine(agenda, cloud, faults, seed, bootLimitMs);

  const serverOf = (name: MemberName): SimServer | undefined =>
    cloud.live().find(({ member }) => member === name);
  const servers = (): readonly string[] => cloud.live().map(({ member }) => member);
  const isKnown = (name: MemberName): boolean => engine.instances().some(({ member }) => member === name);
  const deleting = new Set<MemberName>();
  cloud.onDelete = ({ member }) => void deleting.add(member);

  const reached: Readonly<Record<KillPoint, (run: SimRun, name: MemberName) => boolean>> = {
    'before the lock of a create': () => true,
    'under its lock, before a create': ({ pending }) => pending > 0,
    'while the server is in BUILD': (_, name) => serverOf(name)?.status === 'BUILD',
    'when the server is ACTIVE and in no state': (_, name) =>
      serverOf(name)?.status === 'ACTIVE' && !isKnown(name),
    'when the server is in the state and the update has not ended': (_, name) => isKnown(name),
    'before a delete': ({ pending }) => pending > 0,
    'while the server is being deleted': (_, name) => deleting.has(name) && serverOf(name) !== undefined,
    'when the server is gone and still in the state': (_, name) =>
      serverOf(name) === undefined && isKnown(name),
    'when the server is out of the state and the update has not ended': (_, name) => !isKnown(name),
  };

  const converge = (wish: CellWish, killAt?: (run: SimRun) => boolean): ConvergeResult => {
    const ended: RunResult[] = [];
    const run = engine.converge(
      wish,
      () => undefined,
      (result) => ended.push(result),
    );
    while (ended[0] === undefined) {
      if (killAt?.(run) === true) {
        engine.kill(run);
        return { ok: false, state: null, kind: 'killed', message: 'killed' };
      }
      if (!agenda.turn()) throw new Error(`the update of ${wish.cell} never ends`);
    }
    return resultOf(ended[0]);
  };

  return {
    member: (name) => ({ name: name as MemberName, generation: 'g1', spec: specOf('g1'), made: false }),
    converge: (wish) => Promise.resolve(converge(wish)),
    killedAt: (point, wish, name) => {
      const result = converge(wish, (run) => !run.ended && reached[point](run, name));
      return Promise.resolve({ result, servers: servers() });
    },
    recover: () => {
      // What Nova was asked for goes on without whoever asked.
      const until = agenda.now + 60_000;
      while (agenda.now < until && agenda.turn());
      return Promise.resolve();
    },
    servers: () => Promise.resolve(servers()),
    close: () => Promise.resolve(),
  };
};

for (const seed of [1, 2, 3]) {
  engineContract(`the simulated engine (seed ${String(seed)})`, () => Promise.resolve(open(seed)), 60_000);
}
