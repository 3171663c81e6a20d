import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { repoRoot } from '../../../src/repo-root.js';
import { readWorkflow, runJob, type StepEnd } from '../../support/workflow.js';

/** The steps of the GitHub Actions example, run by bash as a runner does, with stand-ins for what they call. The suite `package` runs them with the real programs. */
describe('the job of a pull request', () => {
  const workflow = readWorkflow(join(repoRoot, 'config/ci/github-actions.yaml'));
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-workflow-'));
    mkdirSync(join(directory, 'bin'));
    mkdirSync(join(directory, 'checkout'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  /** What each program says and ends with; `vmpool` by its first word. */
  interface Said {
    readonly npm?: string;
    readonly policy?: string;
    readonly pulumi?: string;
  }
  const review = async (
    said: Said,
  ): Promise<{ ok: boolean; outcomes: Record<string, StepEnd['outcome']>; comment: string; log: string }> => {
    const program = (name: string, script: string): void => {
      writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    };
    program('npm', `[ "$1" = root ] && echo ${directory} && exit; ${said.npm ?? 'exit 0'}`);
    program('vmpool', `[ "$1" = policy ] || exit 0; ${said.policy ?? 'echo "ok    shape  $2"'}`);
    program('pulumi', said.pulumi ?? 'echo "~ max: 40 => 60"');
    program('gh', `echo "$@" > ${directory}/gh.txt; cat comment.md >> ${directory}/gh.txt`);
    const { ok, steps } = await runJob(workflow, 'review', {
      cwd: join(directory, 'checkout'),
      env: { PATH: [join(directory, 'bin'), process.env['PATH'] ?? ''].join(delimiter) },
      expressions: {
        'github.event.pull_request.number': '17',
        'github.server_url': 'https://forge.example.org',
        'github.repository': 'site/pool',
        'github.run_id': '4',
      },
    });
    return {
      ok,
      outcomes: Object.fromEntries(steps.map(({ name, outcome }) => [name, outcome])),
      comment: readFileSync(join(directory, 'gh.txt'), 'utf8'),
      log: steps.map(({ output }) => output).join(''),
    };
  };
  const title = (text: string): string => `pr comment 17 --body-file comment.md\n### ${text}\n`;

  it('comments the plan of a shape that is accepted', async () => {
    const { ok, comment, log } = await review({});
    expect(ok).toBe(true);
    expect(comment).toBe(
      `${title('Plan for pool batch')}~~~~~~~~\nok    shape  Pulumi.batch.yaml\n\n~~~~~~~~\n~~~~~~~~\n~ max: 40 => 60\n\n~~~~~~~~\n`,
    );
    expect(log).toContain('~ max: 40 => 60');
  });

  it.each([
    ['lint', 'FAIL  shape  vmpool:max must be a number'],
    ['policy', 'ok    shape  Pulumi.batch.yaml\nFAIL  quota  max of 500 needs 500 instances'],
  ])('comments what %s refuses, previews nothing, and fails', async (_by, lines) => {
    const { ok, outcomes, comment, log } = await review({ policy: `echo '${lines}'; exit 1` });
    expect(ok).toBe(false);
    expect(outcomes).toMatchObject({
      'Lint and policy': 'failure',
      Preview: 'skipped',
      'Comment the plan or the refusal': 'success',
    });
    expect(comment).toBe(`${title('Pool batch: this shape is refused')}~~~~~~~~\n${lines}\n\n~~~~~~~~\n`);
    expect(log).toContain(lines);
  });

  it('comments a refusal that goes to stderr', async () => {
    const { ok, comment } = await review({ policy: 'echo "there is no Pulumi.batch.yaml" >&2; exit 2' });
    expect(ok).toBe(false);
    expect(comment).toContain('\nthere is no Pulumi.batch.yaml\n');
  });

  it('comments a preview that failed beside what the policy said, and fails', async () => {
    const { ok, outcomes, comment } = await review({ pulumi: 'echo "error: no such stack" >&2; exit 255' });
    expect(ok).toBe(false);
    expect(outcomes).toMatchObject({ 'Lint and policy': 'success', Preview: 'failure' });
    expect(comment).toContain(title('Pool batch: the preview failed'));
    expect(comment).toMatch(/ok {4}shape[^]*error: no such stack/);
  });

  it('says where to look when the runner could not be made ready', async () => {
    const { ok, outcomes, comment } = await review({ npm: 'exit 1' });
    expect(ok).toBe(false);
    expect(outcomes).toMatchObject({ 'Lint and policy': 'skipped', Preview: 'skipped' });
    expect(comment).toBe(
      title(
        'Pool batch: the shape was not looked at, see https://forge.example.org/site/pool/actions/runs/4',
      ),
    );
  });

  it('cuts a plan that a comment has no room for, and says where the whole is', async () => {
    const { ok, comment, log } = await review({ pulumi: 'seq 1 20000' });
    expect(ok).toBe(true);
    expect(comment.length).toBeLessThan(65_536);
    expect(comment).toMatch(/\nCut here; the whole: https:\/\/forge\.example\.org\/\S+\/runs\/4\n$/);
    expect(log).toContain('\n20000\n');
  });
});

describe('the job after the merge', () => {
  const workflow = readWorkflow(join(repoRoot, 'config/ci/github-actions.yaml'));

  it('applies nothing that the policy refuses', () => {
    const names = workflow.jobs['apply']?.steps.map(({ name }) => name);
    expect(names?.indexOf('Lint and policy')).toBeLessThan(names?.indexOf('Apply') ?? -1);
    expect(workflow.jobs['apply']?.steps.filter((step) => step.if !== undefined)).toEqual([]);
  });

  it('takes all that is secret from secrets', () => {
    for (const [name, value] of Object.entries(workflow.env))
      if (/SECRET|PASSPHRASE|TOKEN/.test(name)) expect(value).toMatch(/^\$\{\{ (secrets|github)\./);
    expect(Object.keys(workflow.jobs)).toEqual(['review', 'apply']);
  });
});
