import { describe, expect, it } from '@jest/globals';
import { realCore, tell } from '../../sim/story.js';
import { planOf } from '../../sim/plans.js';

/** The rest of the simulation is a suite of its own: `test/sim`. */
describe('the core and its store in a simulated site', () => {
  it('keep every rule in a short story, and tell the same one from the same seed', async () => {
    const plan = { ...planOf(42), troubledSteps: 1_000, jobs: 20 };
    const told = await tell(plan, realCore, true);
    expect(told.violation).toBeNull();
    expect(await tell(plan, realCore, true)).toEqual(told);
  }, 60_000);
});
