/** A book of a converged pool, for benchmarks: `members` Free VMs, the first `leases` of them leased. */
import { randomUUID } from 'node:crypto';
import { emptyBook } from '../../dist/src/pool/book.js';
import { leaseIdOf } from '../../dist/src/pool/ids.js';
import { Table } from '../../dist/src/table.js';

const adminKey = `ssh-ed25519 ${'A'.repeat(68)} vmpool`;
const spec = {
  flavor: 'small',
  image: 'debian-vm',
  networks: ['net0'],
  sshNetwork: 'net0',
  siteNetwork: 'net0',
  securityGroups: ['default'],
  availabilityZones: [],
  // About as long as the user data that the pool stack renders by default.
  userData: `#!/bin/sh\n${`install ${adminKey}\n`.repeat(7)}`,
  metadata: { site: 'bench' },
  configDrive: false,
  bootVolumeGiB: null,
  floatingIpPool: null,
  serverGroupPolicy: null,
};
export const shapeOf = (members) => ({
  min: members,
  max: members,
  spare: 0,
  maxAgeMs: null,
  spec,
  generation: 'bench0000001',
});
export const user = {
  name: 'alice',
  uid: 10_001,
  gid: 10_000,
  groups: [{ name: 'users', gid: 10_000 }],
  home: '/home/alice',
  shell: '/bin/bash',
};
export const publicKey = `ssh-ed25519 ${'B'.repeat(68)}`;

/** The body of a request for a VM, for start 1 of job `job`. */
export const requestOf = (job) => ({
  job,
  attempt: { start: 1, boot: 'bench', pid: 100, ticks: 100 },
  user,
  publicKey,
  processors: 1,
  queue: 'batch',
  jobName: 'bench',
});

export function bookOf(members, leases, worker, now = Date.now()) {
  const book = { ...emptyBook(randomUUID(), 'bench', now), cells: [] };
  const memberships = [];
  const leased = [];
  book.shape = shapeOf(members);
  book.seq = members + leases;
  for (let n = 1; n <= members; n += 1) {
    const name = `bench-${String(n).padStart(4, '0')}-abcd`;
    const cell = `c${String(Math.ceil(n / 8)).padStart(3, '0')}`;
    if (!book.cells.includes(cell)) book.cells.push(cell);
    const member = {
      name,
      cell,
      seq: n,
      bornAt: now,
      generation: book.shape.generation,
      spec,
      state: { kind: 'Free', since: now },
      engine: 'managed',
      server: { id: randomUUID(), status: 'ACTIVE' },
      endpoint: { host: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, port: 22 },
      hostKeys: [`ssh-ed25519 ${'C'.repeat(68)}`],
      bootId: randomUUID(),
      tenant: null,
      retire: null,
      hold: null,
    };
    memberships.push([name, member]);
    if (n > leases) continue;
    const { job, attempt, ...rest } = requestOf(`${n}.bench`);
    const key = { worker, job, attempt };
    const id = leaseIdOf(key);
    const { processors, queue, jobName } = rest;
    const request = { id, key, user, publicKey, processors, queue, jobName, seq: members + n, askedAt: now };
    leased.push([id, { request, member: name, grantedAt: now, ready: true }]);
    member.state = { kind: 'Busy', since: now, lease: id };
    member.tenant = { lease: id, worker, job };
  }
  return { ...book, members: Table.of(memberships), leases: Table.of(leased) };
}
