import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createCloud } from '../../src/cloud/openstack.js';
import { startEmbeddedCloud } from '../../src/embedded/cloud.js';
import type { EmbeddedCloud } from '../../src/embedded/cloud.js';
import { CloudControl } from '../../src/embedded/control.js';
import type { InstallationId } from '../../src/pool/model.js';
import { cloudContract } from '../support/cloud-contract.js';

const quick = { buildMs: 100, sshMs: 0, deleteMs: 100 };
let state: string;
let embedded: EmbeddedCloud;

async function start(): Promise<void> {
  state = await mkdtemp(path.join(os.tmpdir(), 'vmpool-contract-'));
  embedded = await startEmbeddedCloud({ state, sandbox: 'none', timing: quick, subnet: '127.93.0.0/16' });
}

async function stop(): Promise<void> {
  await embedded.stop();
  await rm(state, { recursive: true, force: true });
}

cloudContract(
  'the embedded cloud',
  async () => {
    await start();
    const { env } = embedded;
    const names = { flavor: 'small', image: 'debian-vm', network: 'net0', external: 'public' };
    return {
      env,
      ...names,
      patienceMs: 20_000,
      tells: ['ports', 'volumes'],
      limitPorts: (port) => new CloudControl(embedded.controlUrl, embedded.controlToken).setQuotas({ port }),
    };
  },
  stop,
);

describe('the OpenStack reader when the embedded cloud’s tokens are revoked', () => {
  beforeAll(start);
  afterAll(stop);

  it('signs in again and goes on', async () => {
    const cloud = createCloud({ env: embedded.env, installation: 'none' as InstallationId });
    try {
      await cloud.quota(AbortSignal.timeout(30_000));
      const answer = await fetch(`${embedded.controlUrl}/tokens/revoke`, {
        method: 'POST',
        headers: { 'x-control-token': embedded.controlToken },
      });
      expect(answer.ok).toBe(true);
      await cloud.quota(AbortSignal.timeout(30_000));
      const signIns = cloud.calls().filter((each) => each.service === 'identity' && each.method === 'POST');
      expect(signIns).toEqual([{ service: 'identity', method: 'POST', outcome: '2xx', count: 2 }]);
    } finally {
      cloud.close();
    }
  });
});
