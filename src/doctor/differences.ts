import type { Difference, Facts } from './facts.js';
import { stackDifferences } from './stack-differences.js';
import { storeDifferences } from './store-differences.js';
import { vmDifferences } from './vm-differences.js';
import { workerDifferences } from './worker-differences.js';

/** Every difference between store, stacks, cloud, guests and workers, what has to be done first at the top. Pure. */
export const differencesIn = (facts: Facts): readonly Difference[] => {
  const order = { operator: 0, repair: 1, itself: 2 } as const;
  const all = [
    ...storeDifferences(facts),
    ...(facts.cloud.kind === 'unknown'
      ? [
          {
            who: 'operator' as const,
            about: 'cloud',
            what: `the cloud cannot be asked: ${facts.cloud.why}`,
            next: 'nothing was compared with it; see vmpool check',
          },
        ]
      : facts.cloud.complete
        ? []
        : [
            {
              who: 'operator' as const,
              about: 'cloud',
              what: 'the listing of servers is not complete',
              next: 'what it left out was looked at by id; servers that nobody knows may be missing here. Run it again',
            },
          ]),
    ...stackDifferences(facts),
    ...workerDifferences(facts),
    ...vmDifferences(facts),
  ];
  return all
    .map((each, at) => ({ each, at }))
    .sort((a, b) => order[a.each.who] - order[b.each.who] || a.at - b.at)
    .map(({ each }) => each);
};
