import { afterAll, beforeAll, describe } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { poolTests } from './pool.js';
import { PuppetServer } from './puppet-server.js';

describe("Puppet's agents in the VMs of a pool", () => {
  const directory = mkdtempSync('/var/tmp/vmpool-puppet-');
  let ca: PuppetServer | undefined;
  beforeAll(async () => {
    ca = await PuppetServer.open(directory, '127.131.255.251', '/etc/puppet/vmpool/batch/autosign');
    await ca.start();
  }, 900_000);
  afterAll(async () => {
    await ca?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  poolTests(() => {
    if (ca === undefined) throw new Error('the host of the CA could not be set up');
    return ca;
  });
});
