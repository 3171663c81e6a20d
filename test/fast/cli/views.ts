import type { EventView } from '../../../src/http/api.js';
import type { HistoryEntry, MemberDetail } from '../../../src/http/detail-api.js';
import { memberView } from './play.js';

export const event = (id: number, changes: Partial<EventView> = {}): EventView => ({
  ...{ id, at: '2026-11-23T10:00:00.000Z', kind: 'vm', detail: `event ${String(id)}` },
  ...{ vm: null, lease: null, job: null, user: null },
  ...changes,
});

export const entry = (changes: Partial<HistoryEntry> = {}): HistoryEntry => ({
  ...{ at: '2026-11-23T09:30:00.000Z', kind: 'vm', detail: '', vm: null, lease: null, job: null },
  ...{ user: null, from: null, to: null, ms: null },
  ...changes,
});

export const memberDetail = (changes: Partial<MemberDetail> = {}): MemberDetail => ({
  member: memberView('batch-0001-abcd'),
  spec: {
    ...{
      flavor: 'small',
      image: 'debian',
      networks: ['net'],
      securityGroups: [],
      availabilityZones: ['nova'],
    },
    ...{ bootVolumeGiB: null, floatingIpPool: null },
  },
  ...{
    stack: 'batch-c001',
    engine: 'managed',
    serverStatus: 'ACTIVE',
    bootId: null,
    hold: null,
    lease: null,
  },
  ssh: { host: '10.0.0.7', port: 2222, hostKeys: ['ssh-ed25519 AAAA'] },
  ...changes,
});
