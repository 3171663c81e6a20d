import { Random, seedFor } from '../sim/random.js';
import { victims, type Victim } from './victims.js';

export const faults = [
  'disk full',
  'store truncated',
  'store bit flipped',
  'journal truncated',
  'journal bit flipped',
  'store damaged while in use',
  'backend locked',
  'state corrupted',
  'clock moved',
] as const;
export type Fault = (typeof faults)[number];

export interface Plan {
  readonly kills: readonly Victim[];
  /** Each happens when so many kills are done. */
  readonly faults: readonly { readonly fault: Fault; readonly afterKills: number }[];
}

/** What happens in which order. Every victim gets its share, and every fault comes at least once. Pure. */
export const planOf = (seed: number, kills: number): Plan => {
  const random = new Random(seedFor(seed, 'plan'));
  const shuffled = <T>(items: readonly T[]): readonly T[] =>
    items
      .map((item) => ({ item, at: random.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  const rounds = Math.max(1, Math.round(kills / 70));
  const wanted = Array.from({ length: rounds }, () => shuffled(faults)).flat();
  return {
    kills: shuffled(Array.from({ length: kills }, (_, at) => victims[at % victims.length] as Victim)),
    faults: wanted.map((fault, at) => ({
      fault,
      afterKills: Math.floor(((at + 0.5) * kills) / wanted.length),
    })),
  };
};
