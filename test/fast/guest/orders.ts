import type { StageOrder } from '../../../src/guest/port.js';
import type { LeaseId } from '../../../src/pool/model.js';

/** An order that every VM can carry out. */
export const order: StageOrder = {
  lease: 'lease-1' as LeaseId,
  key: { worker: 'wn1', job: '28[0].server', attempt: { start: 2, boot: 'b', pid: 7, ticks: 9 } },
  user: {
    name: 'alice',
    uid: 4001,
    gid: 4001,
    groups: [
      { name: 'alice', gid: 4001 },
      { name: 'physics', gid: 4100 },
    ],
    home: '/home/alice',
    shell: '/bin/bash',
  },
  publicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== comment',
  environment: { A: 'b' },
};
