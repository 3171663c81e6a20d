import { afterAll, beforeAll, describe, jest } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { authorityTests } from './authority.js';
import { PuppetServer } from './puppet-server.js';

// Of one test: some agents, each with seconds of a processor.
jest.setTimeout(600_000);

describe("Puppet's certificate authority", () => {
  const directory = mkdtempSync('/var/tmp/vmpool-puppet-');
  let ca: PuppetServer | undefined;
  beforeAll(async () => {
    ca = await PuppetServer.open(directory, '127.131.255.250', '/etc/puppet/vmpool/batch/autosign');
  }, 300_000);
  afterAll(async () => {
    await ca?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  authorityTests(() => {
    if (ca === undefined) throw new Error('the host of the CA could not be set up');
    return ca;
  });
});
