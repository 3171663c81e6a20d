import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { repoRoot } from '../../src/repo-root.js';
import { eventually, leaseReady, openSite, type RunningService, type Site } from '../support/site.js';
import { ran, type Ended, type Installed } from './installed.js';

const workflow = z.looseObject({
  env: z.record(z.string(), z.string()),
  jobs: z.record(
    z.string(),
    z.looseObject({
      steps: z.array(
        z.looseObject({
          name: z.string().optional(),
          run: z.string().optional(),
          env: z.record(z.string(), z.string()).optional(),
        }),
      ),
    }),
  ),
});

/** The example of a pipeline, its own steps run by bash as a runner would, on a site of the embedded cloud. */
export const describePipeline = (installed: () => Installed): void =>
  describe('the GitHub Actions example', () => {
    const { env: declared, jobs } = workflow.parse(
      parse(readFileSync(join(repoRoot, 'config/ci/github-actions.yaml'), 'utf8')),
    );
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
    }, 120_000);
    afterAll(() => site.close(), 60_000);

    const change = (changes: Readonly<Record<string, unknown>>): void => {
      const path = join(checkout, 'Pulumi.site.yaml');
      const { config } = parse(readFileSync(path, 'utf8')) as { config: Record<string, unknown> };
      for (const [key, value] of Object.entries(changes)) config[`vmpool:${key}`] = value;
      writeFileSync(path, stringify({ config }));
    };
    /** The named step with the environment that the workflow declares; secrets come from the site. */
    const step = (job: string, name: string, more: Record<string, string> = {}): Promise<Ended> => {
      const found = jobs[job]?.steps.find((one) => one.name === name);
      if (found?.run === undefined) throw new Error(`the example has no step ${name} in ${job}`);
      const literal = Object.entries({ ...declared, ...found.env }).filter(
        ([, value]) => !value.includes('${{'),
      );
      return ran('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', found.run], {
        cwd: checkout,
        env: {
          ...site.env,
          ...Object.fromEntries(literal),
          POOL: 'site',
          PR: '17',
          PATH: [join(checkout, 'bin'), dirname(installed().vmpool), process.env['PATH'] ?? ''].join(
            delimiter,
          ),
          npm_config_prefix: dirname(dirname(installed().vmpool)),
          VMPOOL_CACHE: installed().engineCache,
          PULUMI_BACKEND_URL: site.config.engine.backend,
          PULUMI_CONFIG_PASSPHRASE_FILE: site.config.engine.passphraseFile,
          VMPOOL_URL: running.url,
          ...more,
        },
      });
    };
    const token = (): Record<string, string> => ({
      VMPOOL_TOKEN_FILE: join(site.directory, 'operator.token'),
    });

    it('names secrets for all that is secret, and no step that a runner would not know', () => {
      for (const [name, value] of Object.entries(declared))
        if (/SECRET|PASSPHRASE|TOKEN/.test(name)) expect(value).toMatch(/^\$\{\{ (secrets|github)\./);
      expect(Object.keys(jobs)).toEqual(['review', 'apply']);
    });

    it('refuses a shape that the cloud has no room or no image for, with a line for each', async () => {
      change({ max: 500, image: 'debian-vm-99' });
      const { code, output } = await step('review', 'Lint and policy');
      change({ max: 2, image: 'debian-vm' });
      expect(code).toBe(1);
      expect(output).toMatch(/^FAIL {2}image .*debian-vm-99/m);
      expect(output).toMatch(/^FAIL {2}quota .*max of 500 needs 500 instances/m);
      expect(output).toMatch(/^ok {4}flavor /m);
    }, 60_000);

    it('refuses what is no shape, before anything is asked', async () => {
      change({ max: -1, flavour: 'small' });
      const { code, output } = await step('review', 'Lint and policy');
      cpSync(join(site.directory, 'Pulumi.site.yaml'), join(checkout, 'Pulumi.site.yaml'));
      expect(code).toBe(1);
      expect(output).toMatch(/^FAIL {2}shape .*vmpool:max/m);
      expect(output).toMatch(/^FAIL {2}shape .*flavour/m);
      expect(output).not.toContain('image ');
    }, 60_000);

    it('previews a change, comments the plan, applies it, and the service takes it over', async () => {
      change({ min: 1 });
      expect(await step('review', 'Lint and policy')).toMatchObject({ code: 0 });
      const preview = await step('review', 'Preview');
      expect(preview).toEqual({ code: 0, output: '' });
      expect(await step('review', 'Comment the plan')).toMatchObject({ code: 0 });
      const commented = readFileSync(join(checkout, 'gh.txt'), 'utf8');
      expect(commented).toMatch(/^pr comment 17 --body-file comment.md\n### Plan for pool site\n```\n/);
      expect(commented).toContain('min');

      const applied = await step('apply', 'Apply');
      expect({ ...applied, output: applied.code === 0 ? '' : applied.output }).toEqual({
        code: 0,
        output: '',
      });
      const adopted = await step('apply', 'Adopted or refused', token());
      expect({ ...adopted, output: adopted.code === 0 ? '' : adopted.output }).toEqual({
        code: 0,
        output: '',
      });
      await eventually('the new shape', 30_000, () => running.service.status().shape?.min === 1);
      await eventually('its VM', 60_000, () =>
        running.service.status().members.some(({ state }) => state === 'Free'),
      );
    }, 180_000);

    it('with a view of the running pool, finds no update that takes a Busy VM away', async () => {
      await leaseReady(running.service, 1, 30_000);
      const more = { ...token(), VMPOOL_CONFIG: site.configFile };
      const { code, output } = await step('review', 'Lint and policy', more);
      expect(output).toMatch(/^ok {4}running pool {2}1 VM now, 1 Busy/m);
      expect(output).toMatch(/^ok {4}busy VMs +1 cell previewed: no update takes a Busy VM away \(1 Busy\)/m);
      expect(code).toBe(0);
    }, 120_000);
  });
