import { describe, expect, it } from '@jest/globals';
import { faults, planOf } from '../../chaos/plan.js';
import { victims } from '../../chaos/victims.js';

describe('the plan of a chaos run', () => {
  it('is the same for the same seed and another for another', () => {
    expect(planOf(7, 40)).toEqual(planOf(7, 40));
    expect(planOf(7, 40)).not.toEqual(planOf(8, 40));
  });

  it('has as many kills as asked for, every victim among them, and every fault within them', () => {
    const plan = planOf(1, 40);
    expect(plan.kills).toHaveLength(40);
    for (const victim of victims) expect(plan.kills.filter((one) => one === victim)).toHaveLength(5);
    for (const fault of faults) expect(plan.faults.map((one) => one.fault)).toContain(fault);
    for (const { afterKills } of plan.faults) expect(afterKills).toBeLessThan(40);
    expect(planOf(1, 210).faults).toHaveLength(3 * faults.length);
  });
});
