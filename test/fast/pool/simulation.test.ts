import { describe, expect, it } from '@jest/globals';
import { allFaults } from '../../sim/faults.js';
import { mutants } from '../../sim/mutants.js';
import { planOf } from '../../sim/plans.js';
import { shrink } from '../../sim/shrink.js';
import type { Core } from '../../sim/service.js';
import type { Plan, Told } from '../../sim/story.js';
import { realCore, tell } from '../../sim/story.js';

/** On failure: the smallest story that breaks the same rule, and how to see it again. */
function expectNoViolation(told: Told, core: Core = realCore): void {
  if (told.violation === null) return;
  const least = shrink(told, core);
  const tail = least.log.slice(-80).join('\n');
  throw new Error(
    `${told.violation.message}\n\n${tail}\n\nreplay: STORY='${JSON.stringify(least.plan)}' node scripts/sim.mjs`,
  );
}

function short(plan: Plan): Plan {
  return { ...plan, troubledSteps: Math.min(plan.troubledSteps, 1_500), jobs: Math.min(plan.jobs, 40) };
}

describe('the core in a simulated site', () => {
  it.each([1, 12, 14, 119, 165, 1002])('keeps every rule in the story of seed %i', (seed) => {
    expectNoViolation(tell(planOf(seed)));
  });

  it('keeps every rule in a few stories that nobody has told yet', () => {
    const first = Date.now() % 1_000_000_000;
    for (let seed = first; seed < first + 3; seed += 1) expectNoViolation(tell(planOf(seed)));
  });

  it('keeps every rule where everything goes wrong at once', () => {
    expectNoViolation(tell({ seed: 7, faults: allFaults, troubledSteps: 4_000, workers: 3, jobs: 60 }));
  });

  it('serves every job where nothing goes wrong', () => {
    const told = tell({ seed: 3, faults: [], troubledSteps: 2_000, workers: 2, jobs: 30 });
    expectNoViolation(told);
    expect(told.jobsDone).toBe(30);
  });

  it('tells the same story from the same seed', () => {
    const plan = short(planOf(42));
    expect(tell(plan, realCore, true)).toEqual(tell(plan, realCore, true));
  });
});

const mutantFaults = allFaults.filter((f) => f !== 'store-lost' && f !== 'store-restored');

describe('the checker finds a core that', () => {
  it.each(mutants)('$breaks', ({ core, rates, faults = mutantFaults }) => {
    let found: Told | null = null;
    for (let seed = 1; seed <= 40 && found === null; seed += 1) {
      const told = tell(
        {
          ...short(planOf(seed)),
          faults,
          ...(rates === undefined ? {} : { rates }),
        },
        core,
      );
      if (told.violation !== null) found = told;
    }
    expect(found?.violation?.rule).toEqual(expect.any(String));
  });
});
