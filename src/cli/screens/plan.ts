import type { PlannedCell, PlannedMember, PlanView } from '../../http/plan-api.js';
import { changesOf, type StackPreview } from '../preview.js';
import { count } from '../table.js';
import { harmlessLine, type Paint } from '../terminal.js';
import { clockTime } from './events.js';

/** One stack: what the service has in mind for it, and what Pulumi says. Null: not told, or nothing to be told. */
export interface PlannedStack {
  readonly stack: string | null;
  readonly preview: StackPreview | null;
  readonly planned: PlannedCell | null;
}

/** What the service plans, or why that is not known. */
export type Told = { readonly plan: PlanView } | { readonly unknown: string };

const isPlanned = (cell: PlannedCell | null): boolean =>
  cell !== null && (cell.members.length > 0 || cell.looks);

/** Stacks in the order of the previews, then what only the service knows of. */
export const stacksOf = (previews: readonly StackPreview[], told: Told): PlannedStack[] => {
  const cells = 'plan' in told ? told.plan.cells : [];
  const known = new Set(previews.map(({ stack }) => stack));
  return [
    ...previews.map((preview) => ({
      stack: preview.stack,
      preview,
      planned: cells.find(({ stack }) => stack === preview.stack) ?? null,
    })),
    ...cells.flatMap((planned) =>
      isPlanned(planned) && (planned.stack === null || !known.has(planned.stack))
        ? [{ stack: planned.stack, preview: null, planned }]
        : [],
    ),
  ];
};

/** Nothing is to be done, as far as was told. */
export const isClean = (stacks: readonly PlannedStack[], told: Told): boolean =>
  stacks.every(
    ({ preview, planned }) =>
      !isPlanned(planned) && (preview === null || (preview.changes !== null && changesOf(preview) === 0)),
  ) && !('plan' in told && told.plan.strays.length > 0);

const memberLine = ({ vm, order, by, why }: PlannedMember): string =>
  `${order} ${vm ?? 'a new VM'}${by === 'cloud' ? " by the cloud's API" : ''}: ${harmlessLine(why)}`;

const whenLines = ({ running, nextTry, lastError }: PlannedCell): string[] => [
  ...(running ? ['an update of it runs'] : []),
  ...(nextTry === null ? [] : [`not before ${clockTime(nextTry, true)}`]),
  ...(lastError === null ? [] : [`the last update failed: ${harmlessLine(lastError)}`]),
];

const stackLines = ({ stack, preview, planned }: PlannedStack, paint: Paint): string[] => {
  const name = stack ?? 'in no stack';
  const own =
    planned === null || !isPlanned(planned)
      ? []
      : [
          ...planned.members.map(memberLine),
          ...(planned.looks ? ['look what its stack holds: the book does not know'] : []),
          ...whenLines(planned),
        ];
  const pulumi = (preview?.lines ?? []).map((line) => `pulumi preview: ${line}`);
  const lines = [...own, ...pulumi].map((line) => `  ${line}`);
  if (preview !== null && preview.changes === null) return [`${paint('red', 'failed')}  ${name}`, ...lines];
  if (own.length > 0 || (preview !== null && changesOf(preview) > 0))
    return [`${paint('yellow', 'changes')}  ${name}`, ...lines];
  return [`${paint('green', 'no change')}  ${name} (${count(preview?.changes?.['same'] ?? 0, 'resource')})`];
};

const poolLines = (plan: PlanView, paint: Paint): string[] =>
  plan.pools.flatMap(({ name, paused, noCreates }) => {
    const whose = plan.pools.length === 1 ? '' : `${name}: `;
    return [
      ...(paused === null
        ? []
        : [
            paint(
              'yellow',
              `${whose}changes are paused until ${clockTime(paused.until, true)}: ${harmlessLine(paused.why)}. What stands here is done after that, or after vmpool resume, if it is still wanted then.`,
            ),
          ]),
      ...(noCreates === null ? [] : [`${whose}no more VMs are made: ${harmlessLine(noCreates)}`]),
    ];
  });

/** The plan of all stacks for people. */
export const planText = (stacks: readonly PlannedStack[], told: Told, paint: Paint): string =>
  [
    ...('plan' in told ? poolLines(told.plan, paint) : []),
    ...stacks.flatMap((stack) => stackLines(stack, paint)),
    ...('plan' in told
      ? told.plan.strays.map(
          ({ server, vm, why }) =>
            `${paint('yellow', 'changes')}  delete server ${server}, which goes by the name of ${vm}: ${harmlessLine(why)}`,
        )
      : [`What the service has in mind, and why, is not known: ${harmlessLine(told.unknown)}`]),
  ].join('\n');
