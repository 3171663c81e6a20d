import { describe, expect, it } from '@jest/globals';
import { findMutant, mutants } from './mutants.js';
import { shrink } from './shrink.js';
import type { Plan } from './story.js';
import { tell } from './story.js';

/** A search may have to wait for its turn on a busy machine. */
const limitMs = 120_000;

describe('a story that breaks a rule', () => {
  it(
    'is shrunk to a smaller one, and its plan, printed and read again, breaks the same rule in the same way',
    async () => {
      const mutant = mutants.find(({ breaks }) => breaks === 'calls a VM Free as soon as its job has ended');
      if (mutant === undefined) throw new Error('there is no such mutant any more');
      const told = await findMutant(mutant);
      if (told === null) throw new Error('the mutant was not found');
      const least = await shrink(told, mutant.core);
      expect(least.plan.faults.length).toBeLessThan(told.plan.faults.length / 4);
      expect(least.plan.jobs).toBeLessThan(told.plan.jobs);
      expect(least.steps).toBeLessThan(told.steps);
      expect(least.log.length).toBeGreaterThan(5);

      const printed = JSON.parse(JSON.stringify(least.plan)) as Plan;
      const again = await tell(printed, mutant.core, true);
      expect(again.log).toEqual(least.log);
      expect(again.violation).toMatchObject({ rule: told.violation?.rule, kind: told.violation?.kind });
      // The core as it is breaks nothing there: what was found is the mutant's.
      expect((await tell(printed)).violation).toBeNull();
    },
    limitMs,
  );
});
