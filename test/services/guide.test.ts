import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { repoRoot } from '../../src/repo-root.js';
import { hostScript } from '../../stacks/services/host-script.js';
import type { ServiceMember } from '../../stacks/services/plan.js';
import { parseServices, planService } from '../../stacks/services/registry.js';
import { serviceInput, serviceMember } from '../support/service-host.js';
import { Enclosure, type Ran } from './enclosure.js';

const page = readFileSync(join(repoRoot, 'docs/how-to/services-command.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, text = '']) => text);

/** As an entry of `services`, or with everything around it. */
const exampleSchema = z.record(z.string(), z.unknown()).transform((value) => {
  const whole = z
    .looseObject({ 'vmpool:services': z.record(z.string(), z.unknown()) })
    .safeParse(value['config']);
  return whole.success ? whole.data['vmpool:services'] : value;
});

/** The examples of the guide's page about commands, word for word, on a host with an /etc of its own. */
describe('the examples of a command of the site’s own', () => {
  let host: Enclosure;
  beforeAll(async () => {
    host = await Enclosure.open(['/etc', '!/usr/local/sbin', '!/var/lib/vmpool-services'], {
      network: false,
    });
    const script = Buffer.from(blocks('sh')[0] ?? '').toString('base64');
    await host.must(
      `echo ${script} | base64 -d >/usr/local/sbin/vmpool-hosts && chmod 755 /usr/local/sbin/vmpool-hosts &&
       mkdir -p /etc/prometheus/targets && printf '127.0.0.1 localhost\\n' >/etc/hosts`,
    );
  }, 120_000);
  afterAll(() => host.close(), 60_000);

  const settings = (name: string) => {
    const found = blocks('yaml')
      .map((text) => exampleSchema.parse(parse(text.replaceAll('AAAA...', 'AAAAC3NzaC1lZDI1NTE5'))))
      .find((services) => name in services);
    const parsed = parseServices(found);
    const one = parsed.ok ? parsed.value[name] : undefined;
    if (one === undefined) throw new Error(`the page has no example ${name} that is taken`);
    return one;
  };
  const run = (name: string, mode: 'apply' | 'remove', members: readonly ServiceMember[]): Promise<Ran> => {
    const id = `batch-svc-${name}`;
    const plan = planService(settings(name), serviceInput(0, { members: [...members] }), id);
    return host.run(
      `sh -s ${mode}`,
      hostScript(plan, { id, stateDir: '/var/lib/vmpool-services', place: 'here' }),
    );
  };
  const [one, two] = [serviceMember(1), serviceMember(2)];

  it('keep names in /etc/hosts, beside what a person wrote', async () => {
    expect(await run('hosts', 'apply', [one, two])).toMatchObject({ code: 0 });
    const begin = '127.0.0.1 localhost\n# vmpool begin\n';
    expect(await host.must('cat /etc/hosts')).toBe(
      `${begin}127.0.0.2 ${one.name}\n127.0.0.3 ${two.name}\n# vmpool end\n`,
    );
    expect(await run('hosts', 'apply', [two])).toMatchObject({ code: 0 });
    expect(await host.must('cat /etc/hosts')).toBe(`${begin}127.0.0.3 ${two.name}\n# vmpool end\n`);
    expect(await run('hosts', 'remove', [two])).toMatchObject({ code: 0 });
    expect(await host.must('stat -c %a /etc/hosts; cat /etc/hosts')).toBe(`644\n${begin}# vmpool end\n`);
  }, 60_000);

  it('keep targets for Prometheus', async () => {
    expect(await run('prometheus', 'apply', [one])).toMatchObject({ code: 0 });
    expect(JSON.parse(await host.must('cat /etc/prometheus/targets/vmpool.json'))).toEqual([
      { targets: ['127.0.0.2:9100'], labels: { vm: one.name, pool: 'batch' } },
    ]);
    expect(await run('prometheus', 'remove', [one])).toMatchObject({ code: 0 });
    expect(await host.must('cat /etc/prometheus/targets/vmpool.json; ls /etc/prometheus/targets')).toBe(
      '[]\nvmpool.json\n',
    );
  }, 60_000);
});
