import { allFaults, storeFaults } from './faults.js';
import { Random, seedFor } from './random.js';
import type { Plan } from './story.js';

/** A whole plan from a seed: some stories have every fault, some only a few, so that none hides another. */
export function planOf(seed: number): Plan {
  const random = new Random(seedFor(seed, 'plan'));
  const losesStore = random.chance(0.15);
  const share = random.pick([0, 0.2, 0.5, 1, 1]) ?? 1;
  return {
    seed,
    faults: allFaults.filter((f) => (storeFaults.includes(f) ? losesStore : random.chance(share))),
    troubledSteps: random.between(1_000, 8_000),
    workers: random.between(1, 3),
    jobs: random.between(5, 150),
  };
}
