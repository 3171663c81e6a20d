import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { repoRoot } from '../../src/repo-root.js';
import { renderUserData } from '../../stacks/user-data.js';
import { labPackages } from '../support/openstack-lab.js';

const adminKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 admin';

/** What Debian's cloud-init finds in user data: type and text of each part. */
function partsOf(userData: string): readonly (readonly [string, string])[] {
  const program = join(repoRoot, 'test', 'openstack', 'cloud_init_parts.py');
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', [program], {
    input: userData,
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', PYTHONPATH: labPackages() },
    timeout: 60_000,
  });
  if (status !== 0) throw new Error(`cloud-init could not read it: ${stderr}`);
  return z.array(z.tuple([z.string(), z.string()])).parse(JSON.parse(stdout));
}

const message = (...parts: readonly string[]): string =>
  [
    'Content-Type: multipart/mixed; boundary="xx"\nMIME-Version: 1.0\n',
    ...parts.map((part) => `--xx\n${part}`),
    '--xx--\n',
  ].join('\n');

/** The site's own user data, and the parts that are to be read of it after the pool's own script. */
const sites: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['', []],
  ['#cloud-config\npackages: [htop]\n', [['text/cloud-config', '#cloud-config\npackages: [htop]']]],
  ['#!/bin/bash\necho vmpool', [['text/x-shellscript', '#!/bin/bash\necho vmpool']]],
  ['#cloud-boothook\n#!/bin/sh\ntrue\n', [['text/cloud-boothook', '#cloud-boothook\n#!/bin/sh\ntrue']]],
  ['## template: jinja\n#cloud-config\n{}\n', [['text/jinja2', '## template: jinja\n#cloud-config\n{}']]],
  [
    '#cloud-config-archive\n- type: text/x-shellscript\n  content: |\n    #!/bin/sh\n    echo one\n',
    [['text/x-shellscript', '#!/bin/sh\necho one']],
  ],
  [
    message(
      'Content-Type: text/x-shellscript\n\n#!/bin/sh\necho one',
      'Content-Type: text/cloud-config\n\n#cloud-config\nruncmd: [echo two]',
    ),
    [
      ['text/x-shellscript', '#!/bin/sh\necho one'],
      ['text/cloud-config', '#cloud-config\nruncmd: [echo two]'],
    ],
  ],
];

describe('cloud-init', () => {
  it.each(sites)('reads the pool’s own script and then what the site wrote: %j', (template, own) => {
    const [script, ...parts] = partsOf(renderUserData(template, adminKey));
    expect(script?.[0]).toBe('text/x-shellscript');
    expect(script?.[1]).toMatch(/^#!\/bin\/sh\n/);
    expect(script?.[1]).toContain(`'${adminKey}' >> /root/.ssh/authorized_keys`);
    expect(parts.map(([type, text]) => [type, text.trimEnd()])).toEqual(own);
  });
});
