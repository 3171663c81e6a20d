import { z } from 'zod';
import type { PlainPulumi } from './plain-pulumi.js';

export interface StackPreview {
  readonly stack: string;
  /** Resources by what would happen to them: `same`, `create`, `update`, `delete`... Null when it failed. */
  readonly changes: Readonly<Record<string, number>> | null;
  /** Names of the VMs in the plan, changed or not. */
  readonly instances: readonly string[];
  /** What would change, or why the preview failed; a line each. */
  readonly lines: readonly string[];
}

const previewShape = z.looseObject({
  changeSummary: z.record(z.string(), z.number()).default({}),
  steps: z.array(z.looseObject({ op: z.string(), urn: z.string() })).default([]),
  diagnostics: z
    .array(z.looseObject({ message: z.string().optional(), severity: z.string().optional() }))
    .default([]),
});

/** `pulumi preview` of one stack by the plain command line. */
export const previewStack = async (
  pulumi: PlainPulumi,
  stack: string,
  signal: AbortSignal,
  moreArguments: readonly string[] = [],
): Promise<StackPreview> => {
  const args = ['preview', '--json', '--show-sames', ...pulumi.plain(stack).arguments, ...moreArguments];
  const result = await pulumi.run(args, signal);
  const parsed = previewShape.safeParse(jsonIn(result.stdout));
  if (result.code !== 0 || !parsed.success) {
    const said = parsed.success
      ? parsed.data.diagnostics.flatMap(({ severity, message }) =>
          severity === 'error' ? [message ?? ''] : [],
        )
      : [];
    const lines = [...said, result.stderr, parsed.success ? '' : result.stdout]
      .join('\n')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
    return { stack, changes: null, instances: [], lines: lines.slice(0, 20) };
  }
  return {
    stack,
    changes: parsed.data.changeSummary,
    instances: parsed.data.steps.flatMap(({ op, urn }) =>
      op !== 'delete' && urn.includes('::openstack:compute/instance:Instance::')
        ? [urn.split('::').at(-1) ?? '']
        : [],
    ),
    lines: parsed.data.steps.flatMap(({ op, urn }) => (op === 'same' ? [] : [`${op} ${resourceOf(urn)}`])),
  };
};

export const changesOf = ({ changes }: StackPreview): number =>
  Object.entries(changes ?? {}).reduce((sum, [op, number]) => sum + (op === 'same' ? 0 : number), 0);

/** `openstack:compute/instance:Instance batch-0001-abcd` of a URN. */
const resourceOf = (urn: string): string => urn.split('::').slice(2).join(' ').replace(/^.*\$/, '');

const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text.slice(Math.max(0, text.indexOf('{'))));
  } catch {
    return null;
  }
};

/** What Pulumi says of a stack that its backend does not have. */
const noStack = /\bno stack named '[^']*' found/;

/**
 * A cell has its config before its stack: an engine that was killed in between leaves a cell of which nothing is in the
 * cloud, and which the next members that it gets bring to life.
 */
const previewCell = async (
  pulumi: PlainPulumi,
  stack: string,
  signal: AbortSignal,
): Promise<StackPreview> => {
  const preview = await previewStack(pulumi, stack, signal);
  return preview.changes === null && preview.lines.some((line) => noStack.test(line))
    ? {
        stack,
        changes: {},
        instances: [],
        lines: ['its stack was never made: nothing of it is in the cloud'],
      }
    : preview;
};

/** Previews cells side by side, `most` at a time, results in the order of the stacks. */
export const previewAll = async (
  pulumi: PlainPulumi,
  stacks: readonly string[],
  most: number,
  signal: AbortSignal,
): Promise<readonly StackPreview[]> => {
  const results: StackPreview[] = [];
  const queue = [...stacks.entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [at, stack] = next;
      results[at] = await previewCell(pulumi, stack, signal);
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, stacks.length) }, worker));
  return results;
};
