import { describe, expect, it } from '@jest/globals';
import { findMutant, mutants } from './mutants.js';
import { invariants, rules } from './rules.js';

/** A search may have to wait for its turn on a busy machine. */
const limitMs = 120_000;

describe('the checker finds a core that', () => {
  it('breaks any of the ten invariants', () => {
    const broken = new Set(mutants.map(({ invariant }) => String(invariant)));
    expect(Object.keys(invariants).filter((number) => number !== '0' && !broken.has(number))).toEqual([]);
  });

  it.each(mutants)(
    '$breaks (invariant $invariant)',
    async (mutant) => {
      const rule = (await findMutant(mutant))?.violation?.rule;
      expect(rule === undefined ? null : rules[rule]).toBe(mutant.invariant);
    },
    limitMs,
  );
});
