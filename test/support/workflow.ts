import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const workflowFile = z.looseObject({
  defaults: z.object({ run: z.object({ shell: z.string() }) }).optional(),
  env: z.record(z.string(), z.string()),
  jobs: z.record(
    z.string(),
    z.looseObject({
      steps: z.array(
        z.strictObject({
          name: z.string().optional(),
          id: z.string().optional(),
          if: z.enum(['always()']).optional(),
          uses: z.string().optional(),
          run: z.string().optional(),
          env: z.record(z.string(), z.string()).optional(),
        }),
      ),
    }),
  ),
});
export type Workflow = z.infer<typeof workflowFile>;

export const readWorkflow = (path: string): Workflow => workflowFile.parse(parse(readFileSync(path, 'utf8')));

export interface StepEnd {
  readonly name: string;
  readonly outcome: 'success' | 'failure' | 'skipped';
  /** Null unless it ran in a shell. */
  readonly code: number | null;
  /** Both streams. */
  readonly output: string;
}

export interface RunnerOptions {
  readonly cwd: string;
  /** The machine's; what the workflow declares goes before it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `${{ }}` stands for, by its text. Declared variables with one that is neither here nor of a step are left out, as for secrets that nobody set. */
  readonly expressions: Readonly<Record<string, string>>;
}

const stepLimitMs = 240_000;

/** As GitHub's runner starts them: without `shell: bash` a pipe's failure is only its last command's. */
const shellOf = ({ defaults }: Workflow): readonly string[] =>
  defaults?.run.shell === 'bash' ? ['--noprofile', '--norc', '-eo', 'pipefail'] : ['-e'];

const inShell = (
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; output: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn('bash', [...args], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: stepLimitMs,
    });
    let output = '';
    child.stdout.on('data', (part: Buffer) => (output += part.toString()));
    child.stderr.on('data', (part: Buffer) => (output += part.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code: code ?? 1, output });
    });
  });

/**
 * Runs the steps of a job as a runner would: in their order, each in a shell of its own, the rest skipped after a
 * failure but for `if: always()`. `uses:` does nothing here. The job has failed if any step has.
 *
 * @param only names of the steps to run; the others count as done
 */
export const runJob = async (
  workflow: Workflow,
  job: string,
  options: RunnerOptions,
  only?: readonly string[],
): Promise<{ readonly ok: boolean; readonly steps: readonly StepEnd[] }> => {
  const steps = workflow.jobs[job]?.steps;
  if (steps === undefined) throw new Error(`the workflow has no job ${job}`);
  for (const name of only ?? [])
    if (!steps.some((step) => step.name === name)) throw new Error(`the job ${job} has no step ${name}`);
  const outcomes = new Map<string, StepEnd['outcome']>();
  const ends: StepEnd[] = [];
  const evaluated = (text: string): string | null => {
    let known = true;
    const value = text.replace(/\$\{\{\s*(.*?)\s*\}\}/g, (_, expression: string) => {
      const step = /^steps\.(\w+)\.outcome$/.exec(expression)?.[1];
      // Of a step that there is not, a runner would say nothing: an empty string. Here it is a slip of the pen.
      if (step !== undefined && !steps.some(({ id }) => id === step))
        throw new Error(`${expression}: no step has the id ${step}`);
      const found = step === undefined ? options.expressions[expression] : (outcomes.get(step) ?? '');
      if (found === undefined) known = false;
      return found ?? '';
    });
    return known ? value : null;
  };
  const declared = (env: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(env).flatMap(([name, text]) => {
        const value = evaluated(text);
        return value === null ? [] : [[name, value]];
      }),
    );

  for (const step of steps) {
    const name = step.name ?? step.uses ?? 'unnamed';
    const hasFailed = ends.some(({ outcome }) => outcome === 'failure');
    let end: StepEnd = { name, outcome: 'skipped', code: null, output: '' };
    if (only !== undefined && !only.includes(name)) end = { ...end, outcome: 'success' };
    else if (!hasFailed || step.if === 'always()') {
      if (step.run === undefined) end = { ...end, outcome: 'success' };
      else {
        const env = { ...options.env, ...declared(workflow.env), ...declared(step.env ?? {}) };
        const { code, output } = await inShell([...shellOf(workflow), '-c', step.run], options.cwd, env);
        end = { name, outcome: code === 0 ? 'success' : 'failure', code, output };
      }
    }
    if (step.id !== undefined) outcomes.set(step.id, end.outcome);
    ends.push(end);
  }
  return { ok: ends.every(({ outcome }) => outcome !== 'failure'), steps: ends };
};
