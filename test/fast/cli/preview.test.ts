import { describe, expect, it } from '@jest/globals';
import type { PlainPulumi } from '../../../src/cli/plain-pulumi.js';
import { previewAll, previewStack } from '../../../src/cli/preview.js';

const never = new AbortController().signal;

/** A command line whose backend has these stacks, each with one VM in it. */
const pulumiWith = (stacks: readonly string[]): PlainPulumi => ({
  bin: 'pulumi',
  pool: 'p',
  plain: (stack) => ({ environment: {}, directory: '/', arguments: ['--stack', stack] }),
  cells: () => stacks,
  services: () => [],
  run: (args) => {
    const stack = args[args.indexOf('--stack') + 1] ?? '';
    return Promise.resolve(
      stacks.includes(stack)
        ? { code: 0, stdout: JSON.stringify({ changeSummary: { same: 2 }, steps: [] }), stderr: '' }
        : stack === 'p-c009'
          ? { code: 255, stdout: '', stderr: 'error: the stack is currently locked\n' }
          : { code: 255, stdout: '', stderr: `error: no stack named '${stack}' found\n` },
    );
  },
});

describe('the previews of cells', () => {
  it('take a cell whose stack was never made for what it is: nothing in the cloud', async () => {
    const previews = await previewAll(pulumiWith(['p-c001']), ['p-c001', 'p-c002', 'p-c009'], 2, never);
    expect(previews.map(({ stack, changes }) => ({ stack, changes }))).toEqual([
      { stack: 'p-c001', changes: { same: 2 } },
      { stack: 'p-c002', changes: {} },
      { stack: 'p-c009', changes: null },
    ]);
    expect(previews[1]?.lines.join()).toContain('never made');
    expect(previews[2]?.lines.join()).toContain('locked');
  });

  it('say of a pool whose stack is missing that it is missing', async () => {
    const preview = await previewStack(pulumiWith([]), 'p', never);
    expect(preview).toMatchObject({ changes: null, lines: ["error: no stack named 'p' found"] });
  });
});
