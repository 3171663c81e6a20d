import { afterAll, describe, expect, it } from '@jest/globals';
import { allFaults, type Fault } from './faults.js';
import { planOf } from './plans.js';
import { invariants } from './rules.js';
import { shrink } from './shrink.js';
import type { Plan, Told } from './story.js';
import { realCore, tell } from './story.js';

/** The story, or on failure the smallest one that breaks the same rule, and how to see it again. */
async function told(plan: Plan): Promise<Told> {
  const story = await tell(plan);
  if (story.violation === null) return story;
  const replay = ({ plan }: Told): string => `replay: STORY='${JSON.stringify(plan)}' node scripts/sim.mjs`;
  // Told before a smaller one is looked for, which may take longer than the test has.
  process.stderr.write(`${story.violation.message}\n${replay(story)}\n`);
  const least = await shrink(story, realCore, 30);
  const tail = least.log.slice(-80).join('\n');
  throw new Error(`${story.violation.message}\n\n${tail}\n\n${replay(least)}`);
}

function short(plan: Plan): Plan {
  return { ...plan, troubledSteps: Math.min(plan.troubledSteps, 1_500), jobs: Math.min(plan.jobs, 40) };
}

/** A story may have to wait for its turn on a busy machine. */
const limitMs = 120_000;
const fresh = Date.now() % 1_000_000_000;

describe('the core and its store in a simulated site', () => {
  const checked = new Set<string>();
  const keepsAll = async (plan: Plan): Promise<Told> => {
    const story = await told(plan);
    for (const number of Object.keys(story.checks)) checked.add(number);
    return story;
  };
  afterAll(() => {
    // Not one of the ten went unlooked at.
    expect(Object.keys(invariants).filter((number) => number !== '0' && !checked.has(number))).toEqual([]);
  });

  it.each([1, 12, 14, 35, 119, 165, 900, 1002])(
    'keeps every rule in the story of seed %i',
    async (seed) => {
      await keepsAll(planOf(seed));
    },
    limitMs,
  );

  it.each([fresh, fresh + 1])(
    'keeps every rule in a story that nobody has told yet, of seed %i',
    async (seed) => {
      await keepsAll(planOf(seed));
    },
    limitMs,
  );

  it(
    'keeps every rule where everything goes wrong at once',
    async () => {
      await keepsAll({ seed: 7, faults: allFaults, troubledSteps: 4_000, workers: 3, jobs: 60 });
    },
    limitMs,
  );

  it(
    'keeps every rule where the wall clock is set back and forward by hours, also while the service is down',
    async () => {
      const faults: readonly Fault[] = ['clock-jumps', 'service-crash', 'power-cut', 'leaves-processes'];
      const rates = { 'clock-jumps': 0.1, 'service-crash': 0.03, 'power-cut': 0.01 };
      await keepsAll({ seed: 11, faults, rates, troubledSteps: 3_000, workers: 2, jobs: 40 });
    },
    limitMs,
  );

  it(
    'serves every job where nothing goes wrong',
    async () => {
      const story = await keepsAll({ seed: 3, faults: [], troubledSteps: 2_000, workers: 2, jobs: 30 });
      expect(story.jobsDone).toBe(30);
    },
    limitMs,
  );

  it(
    'tells the same story from the same seed',
    async () => {
      const plan = short(planOf(42));
      expect(await tell(plan, realCore, true)).toEqual(await tell(plan, realCore, true));
    },
    limitMs,
  );
});
