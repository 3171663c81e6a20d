import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedCloud, type EmbeddedCloud } from '../../src/embedded/cloud.js';
import { cellContract } from '../support/cell-contract.js';

const minutes = 60_000;
let state: string;
let embedded: EmbeddedCloud;

cellContract(
  'the embedded cloud',
  async () => {
    state = mkdtempSync(join(tmpdir(), 'vmpool-cells-cloud-'));
    const zones = ['nova', 'east'];
    embedded = await startEmbeddedCloud({
      state,
      sandbox: 'none',
      timing: { buildMs: 300, sshMs: 0, deleteMs: 300 },
      subnet: '127.94.0.0/16',
      availabilityZones: zones,
    });
    return {
      env: embedded.env,
      flavor: 'small',
      image: 'debian-vm',
      networks: ['net0', 'site0'],
      zones,
      floatingIpPool: 'public',
      volumes: true,
      forcesConfigDrive: false,
      patienceMs: minutes,
    };
  },
  async () => {
    await embedded.stop();
    rmSync(state, { recursive: true, force: true });
  },
  3 * minutes,
);
