import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alice, Site } from './site.js';

describe('an ordinary job', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ vms: 2 });
  }, 60_000);
  afterAll(() => site?.close());

  it('runs on the VM and brings back its output and exit code', async () => {
    const id = site.mom.submit({
      user: alice.name,
      script: '#!/bin/bash\necho "on $(hostname) as $(id -un) with $1"\necho oops >&2\nexit 7\n',
      args: '"two words"',
    });
    const result = await site.mom.finished(id);
    expect(result.stderr).toBe('oops\n');
    expect(result.stdout.toString()).toBe('on vm1 as vmpalice with two words\n');
    expect(result).toMatchObject({ state: 'complete', exitStatus: 7, starts: 1 });
    expect(site.service.live(id)).toEqual([]);
  }, 60_000);
});
