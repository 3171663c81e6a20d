import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { PoolConfig } from '../../../stacks/pool-config.js';
import { historyArguments, lastGood } from '../../engine/pool-stack.js';
import { parsePoolOutputs } from '../../engine/pool-outputs.js';
import type { StackConfig } from '../../engine/port.js';
import { projectDefaults, projectTypes } from '../../engine/stack-config.js';
import { shapeOf } from '../../service/config-changes.js';
import { errorText } from '../../store/files.js';
import type { PlainPulumi, PulumiResult } from '../plain-pulumi.js';
import { readStackConfig } from '../policy/stack-file.js';
import type { AuditedStack } from './audit.js';
import { stepsIn, stepText } from './preview-text.js';

/** A preview with a refresh asks the cloud for every resource, milliseconds. */
const limitMs = 15 * 60_000;
const linesKept = 20;
const noStack = /\bno stack named '[^']*' found/;
/** Beside 0: what Pulumi ends with when `--expect-no-changes` was not met is told by its words, not by a code. */
const notExpected = /no changes were expected/;

const failed = (stack: string, said: string): AuditedStack => ({
  stack,
  result: 'failed',
  lines: said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, linesKept),
});

const preview = (pulumi: PlainPulumi, args: readonly string[], signal: AbortSignal): Promise<PulumiResult> =>
  pulumi.run(
    ['preview', '--refresh', '--expect-no-changes', '--diff', ...args],
    AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
  );

const verdict = (stack: string, { code, stdout, stderr }: PulumiResult): AuditedStack => {
  const lines = stepsIn(stdout).map(stepText);
  if (code !== 0 && !notExpected.test(`${stdout}\n${stderr}`))
    return failed(stack, stderr === '' ? stdout : stderr);
  return code === 0 && lines.length === 0
    ? { stack, result: 'as expected', lines }
    : { stack, result: 'differs', lines: lines.length > 0 ? lines : failed(stack, stdout).lines };
};

/** Never rejects: what goes wrong is the result. */
const guarded = async (stack: string, look: () => Promise<AuditedStack>): Promise<AuditedStack> => {
  try {
    return await look();
  } catch (error) {
    return failed(stack, errorText(error));
  }
};

/** A cell or the stack of a service, with the config that the service last wrote. */
export const auditStack = (pulumi: PlainPulumi, stack: string, signal: AbortSignal): Promise<AuditedStack> =>
  guarded(stack, async () => {
    const result = await preview(pulumi, pulumi.plain(stack).arguments, signal);
    return result.code !== 0 && noStack.test(result.stderr)
      ? { stack, result: 'as expected', lines: ['its stack was never made: nothing of it is in the cloud'] }
      : verdict(stack, result);
  });

/**
 * The pool's own stack, with the config of a checkout's file or, without one, of its last update. Pulumi's
 * `--expect-no-changes` does not look at outputs, which are all that this stack has: they are compared here.
 */
export const auditPool = (
  pulumi: PlainPulumi,
  file: string | null,
  signal: AbortSignal,
): Promise<AuditedStack> => {
  const stack = pulumi.pool;
  return guarded(stack, async () => {
    const config = file === null ? await configInForce(pulumi, signal) : readStackConfig(file);
    if (!config.ok) return failed(stack, config.errors.join('\n'));
    const expected = shapeOf(config.value, projectDefaults());
    if (!expected.ok) return failed(stack, expected.errors.join('\n'));
    const directory = mkdtempSync(join(tmpdir(), 'vmpool-audit-'));
    try {
      const path = join(directory, `Pulumi.${stack}.yaml`);
      writeFileSync(path, stringify({ config: config.value }), { mode: 0o600 });
      const result = await preview(pulumi, ['--stack', stack, '--config-file', path], signal);
      const seen = verdict(stack, result);
      if (seen.result !== 'as expected') return seen;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    const outputs = await pulumi.run(['stack', 'output', '--json', '--stack', stack], signal);
    if (outputs.code !== 0) return failed(stack, outputs.stderr);
    const published = parsePoolOutputs(JSON.parse(outputs.stdout));
    if (!published.ok) return { stack, result: 'differs', lines: [published.why] };
    const lines = differencesOf(published, expected.value);
    return { stack, result: lines.length === 0 ? 'as expected' : 'differs', lines };
  });
};

const configInForce = async (
  pulumi: PlainPulumi,
  signal: AbortSignal,
): Promise<ReturnType<typeof readStackConfig>> => {
  const history = await pulumi.run(historyArguments(pulumi.pool), signal);
  if (history.code !== 0) return { ok: false, errors: [history.stderr] };
  const last: { readonly config: StackConfig } | null = lastGood(JSON.parse(history.stdout), projectTypes());
  return last === null
    ? { ok: false, errors: ['the pool stack has never been brought up: run pulumi up on it'] }
    : { ok: true, value: last.config };
};

/** What the stack publishes beside what its config makes, key by key. Pure. */
export const differencesOf = (
  published: { readonly shape: PoolConfig['shape']; readonly services: PoolConfig['services'] | null },
  expected: PoolConfig,
): string[] => {
  const flat = ({ shape, services }: typeof published): Record<string, string> => {
    const { spec, generation: _, ...sizes } = shape;
    const all = { ...sizes, ...spec, services: services ?? {} };
    return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, JSON.stringify(value)]));
  };
  const [now, wanted] = [flat(published), flat(expected)];
  return Object.keys(wanted)
    .filter((key) => now[key] !== wanted[key])
    .map((key) =>
      [now[key], wanted[key]].some((text) => (text ?? '').length > 60)
        ? `${key}: the stack publishes another one than the config says`
        : `${key}: the stack publishes ${now[key] ?? 'none'}, the config says ${wanted[key] ?? 'none'}`,
    );
};
