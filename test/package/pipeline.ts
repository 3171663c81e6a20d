import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { repoRoot } from '../../src/repo-root.js';
import { eventually, leaseReady, openSite, type RunningService, type Site } from '../support/site.js';
import { readWorkflow, runJob, type RunnerOptions, type StepEnd } from '../support/workflow.js';
import type { Installed } from './installed.js';

/** The example of a pipeline, its own steps run by bash as a runner would, on a site of the embedded cloud. */
export const describePipeline = (installed: () => Installed): void =>
  describe('the GitHub Actions example', () => {
    const workflow = readWorkflow(join(repoRoot, 'config/ci/github-actions.yaml'));
    let site: Site;
    let running: RunningService;
    let checkout: string;

    beforeAll(async () => {
      site = await openSite({ subnet: '127.118.0.0/16', shape: { min: 0, max: 2 } });
      await site.shape({});
      running = await site.start();
      checkout = join(site.directory, 'checkout');
      mkdirSync(join(checkout, 'bin'), { recursive: true });
      cpSync(join(site.directory, 'Pulumi.site.yaml'), join(checkout, 'Pulumi.site.yaml'));
      // What the forge does with a comment is not ours; what it is given is.
      writeFileSync(join(checkout, 'bin', 'gh'), '#!/bin/sh\necho "$@" > gh.txt; cat comment.md >> gh.txt\n');
      chmodSync(join(checkout, 'bin', 'gh'), 0o755);
    }, 400_000);
    afterAll(() => site.close(), 60_000);

    const change = (changes: Readonly<Record<string, unknown>>): void => {
      const path = join(checkout, 'Pulumi.site.yaml');
      const { config } = parse(readFileSync(path, 'utf8')) as { config: Record<string, unknown> };
      for (const [key, value] of Object.entries(changes)) config[`vmpool:${key}`] = value;
      writeFileSync(path, stringify({ config }));
    };
    const options = (more: Record<string, string> = {}): RunnerOptions => ({
      cwd: checkout,
      env: {
        ...site.env,
        PATH: [join(checkout, 'bin'), dirname(installed().vmpool), process.env['PATH'] ?? ''].join(delimiter),
        npm_config_prefix: dirname(dirname(installed().vmpool)),
        VMPOOL_CACHE: installed().engineCache,
        PULUMI_CONFIG_PASSPHRASE_FILE: site.config.engine.passphraseFile,
        VMPOOL_URL: running.url,
        ...more,
      },
      expressions: {
        'github.event.pull_request.number': '17',
        'github.server_url': 'https://forge.example.org',
        'github.repository': 'site/pool',
        'github.run_id': '4',
        'secrets.PULUMI_BACKEND_URL': site.config.engine.backend,
      },
    });
    /** The pool of this site is not called as the example's. */
    const here = { ...workflow, env: { ...workflow.env, POOL: 'site' } };
    /** One step with the environment that the workflow declares; secrets come from the site. */
    const step = async (job: string, name: string, more?: Record<string, string>): Promise<StepEnd> => {
      const { steps } = await runJob(here, job, options(more), [name]);
      return steps.find((one) => one.name === name) as StepEnd;
    };
    const reviewed = ['Lint and policy', 'Preview', 'Comment the plan or the refusal'];
    /** The job of a pull request, without its installation, and what the forge was given to comment. */
    const review = async (): Promise<{ ok: boolean; outcomes: readonly string[]; comment: string }> => {
      rmSync(join(checkout, 'gh.txt'), { force: true });
      for (const left of ['policy.txt', 'plan.txt']) rmSync(join(checkout, left), { force: true });
      const { ok, steps } = await runJob(here, 'review', options(), reviewed);
      return {
        ok,
        outcomes: steps.filter(({ name }) => reviewed.includes(name)).map(({ outcome }) => outcome),
        comment: readFileSync(join(checkout, 'gh.txt'), 'utf8'),
      };
    };
    const token = (): Record<string, string> => ({
      VMPOOL_TOKEN_FILE: join(site.directory, 'operator.token'),
    });

    it('refuses a shape that the cloud has no room or no image for, with a line for each in the comment', async () => {
      change({ max: 500, image: 'debian-vm-99' });
      const { ok, outcomes, comment } = await review();
      change({ max: 2, image: 'debian-vm' });
      expect({ ok, outcomes }).toEqual({ ok: false, outcomes: ['failure', 'skipped', 'success'] });
      expect(comment).toMatch(
        /^pr comment 17 --body-file comment.md\n### Pool site: this shape is refused\n/,
      );
      expect(comment).toMatch(/^FAIL {2}image .*debian-vm-99/m);
      expect(comment).toMatch(/^FAIL {2}quota .*max of 500 needs 500 instances/m);
      expect(comment).toMatch(/^ok {4}flavor /m);
    }, 60_000);

    it('refuses what is no shape, before anything is asked', async () => {
      change({ max: -1, flavour: 'small' });
      const { ok, outcomes, comment } = await review();
      cpSync(join(site.directory, 'Pulumi.site.yaml'), join(checkout, 'Pulumi.site.yaml'));
      expect({ ok, outcomes }).toEqual({ ok: false, outcomes: ['failure', 'skipped', 'success'] });
      expect(comment).toMatch(/^FAIL {2}shape .*vmpool:max/m);
      expect(comment).toMatch(/^FAIL {2}shape .*flavour/m);
      expect(comment).not.toContain('image ');
    }, 60_000);

    it('previews a change, comments the plan, applies it, and the service takes it over', async () => {
      change({ min: 1 });
      const { ok, outcomes, comment } = await review();
      expect({ outcomes, comment: ok ? '' : comment }).toEqual({
        outcomes: ['success', 'success', 'success'],
        comment: '',
      });
      expect(comment).toMatch(/^pr comment 17 --body-file comment.md\n### Plan for pool site\n/);
      expect(comment).toMatch(/^ok {4}quota /m);
      expect(comment).toContain('min');

      for (const [name, more] of [['Apply'], ['Adopted or refused', token()]] as const) {
        const { code, output } = await step('apply', name, more);
        expect({ name, code, output: code === 0 ? '' : output }).toEqual({ name, code: 0, output: '' });
      }
      await eventually('the new shape', 120_000, () => running.service.status().shape?.min === 1);
      await eventually('its VM', 240_000, () =>
        running.service.status().members.some(({ state }) => state === 'Free'),
      );
    }, 600_000);

    it('with a view of the running pool, finds no update that takes a Busy VM away', async () => {
      await leaseReady(running.service, 1, 120_000);
      const more = { ...token(), VMPOOL_CONFIG: site.configFile };
      const { code, output } = await step('review', 'Lint and policy', more);
      expect(output).toMatch(/^ok {4}running pool {2}1 VM now, 1 Busy/m);
      expect(output).toMatch(/^ok {4}busy VMs +1 cell previewed: no update takes a Busy VM away \(1 Busy\)/m);
      expect(code).toBe(0);
    }, 400_000);
  });
