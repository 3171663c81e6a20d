/**
 * A pool that is already there: its servers made by plain calls, and a book that says so, as if Pulumi had made them. A
 * thousand members come in seconds, and the service cannot tell the difference until it changes their cells.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityKeys } from '../../dist/src/cloud/port.js';
import { emptyBook } from '../../dist/src/pool/book.js';
import { bookFormat } from '../../dist/src/pool/book-schema.js';
import { leaseIdOf } from '../../dist/src/pool/ids.js';
import { openStore } from '../../dist/src/store/store.js';
import { Table } from '../../dist/src/table.js';
import { timed, until } from '../calls.mjs';
import { bootIdOf } from './boot-id.mjs';
import { directCaller } from './direct.mjs';

const callsAtOnce = 16;

/** `members` VMs in a site whose pool has none, the first `leases` of them leased to jobs `N.made`. Starts the service anew. */
export async function premake(site, { members, leases }) {
  await site.stop();
  const installation = readFileSync(join(site.state, 'installation'), 'utf8').trim();
  const opened = await openStore({
    path: join(site.state, 'book.json'),
    ...bookFormat,
    initial: () => emptyBook(installation, 'bench', 0),
    clock: { now: () => Date.now() },
  });
  if (opened.kind !== 'opened') throw new Error(`the book: ${opened.kind}`);
  const { store, document: book } = opened;
  try {
    const { shape } = book;
    const names = Array.from({ length: members }, (_, n) => ({
      name: `bench-${String(n + 1).padStart(4, '0')}-made`,
      cell: `c${String(Math.floor(n / 8) + 1).padStart(3, '0')}`,
    }));
    const { create, list } = await directCaller(site);
    await timed(members, callsAtOnce, (n) =>
      create(names[n].name, {
        metadata: {
          [identityKeys.installation]: installation,
          [identityKeys.pool]: 'bench',
          [identityKeys.member]: names[n].name,
          [identityKeys.cell]: names[n].cell,
          [identityKeys.generation]: shape.generation,
        },
      }),
    );
    const servers = await until('the servers', 120_000, async () => {
      const all = await list();
      return all.filter(({ status }) => status === 'ACTIVE').length >= members ? all : null;
    });
    const serverOf = new Map(servers.map((one) => [one.name, one]));
    const [type, key] = site.hostKey.split(' ');
    const now = Date.now();
    const memberships = names.map(({ name, cell }, n) => {
      const server = serverOf.get(name);
      const host = Object.values(server.addresses)[0][0].addr;
      const member = {
        ...{ name, cell, seq: n + 1, bornAt: now, generation: shape.generation, spec: shape.spec },
        ...{ state: { kind: 'Free', since: now }, engine: 'managed', hostKeys: [`${type} ${key}`] },
        ...{ server: { id: server.id, status: 'ACTIVE' }, endpoint: { host, port: 22 } },
        ...{ bootId: bootIdOf(host), tenant: null, retire: null, hold: null },
      };
      return [name, member];
    });
    const leased = memberships.slice(0, leases).map(([name, member], n) => {
      const { job, attempt, user, publicKey } = site.request(`${n + 1}.made`);
      const id = leaseIdOf({ worker: 'w1', job, attempt });
      const request = {
        ...{ id, key: { worker: 'w1', job, attempt }, user, publicKey, processors: 1, queue: '' },
        ...{ jobName: '', seq: members + n + 1, askedAt: now },
      };
      member.state = { kind: 'Busy', since: now, lease: id };
      member.tenant = { lease: id, worker: 'w1', job };
      return [id, { request, member: name, grantedAt: now, ready: true }];
    });
    await store.commit({
      ...book,
      seq: members + leases + 1,
      cells: [...new Set(names.map(({ cell }) => cell))],
      members: Table.of(memberships),
      leases: Table.of(leased),
    });
  } finally {
    await store.close();
  }
  await site.start();
  // Each is probed once after a start; then the service is as it will stay.
  const areProbed = ({ counts, members: seen }) =>
    counts.free + counts.busy === members && seen.every(({ probe }) => probe !== null);
  await site.sees('the first probes', areProbed);
}
