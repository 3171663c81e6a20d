import { randomBytes } from 'node:crypto';
import { createGuest } from '../../guest/guest.js';
import { UnreachableError } from '../../http/client.js';
import { accessOf, type AccessOptions } from '../access.js';
import { CliError } from '../exit.js';
import type { World } from '../world.js';
import { unless, type Verdict } from './finding.js';
import type { Subject } from './subject.js';

const limitMs = 30_000;

/** Asks the running service, if there is one and the caller has a token. */
export const checkService = async (
  { config }: Subject,
  options: AccessOptions,
  world: World,
): Promise<Verdict> => {
  const { host, port, tls } = config.listen;
  const own = `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  const url = options.url ?? world.env['VMPOOL_URL'] ?? own;
  let access;
  try {
    access = accessOf({ ...options, url }, world.env);
  } catch (error) {
    if (error instanceof CliError) return { note: `not asked: ${error.message}` };
    throw error;
  }
  const client = world.connect(access);
  try {
    const { counts, problems } = await client.status();
    return unless(
      problems,
      `answers at ${url}: ${String(counts.free)} Free, ${String(counts.busy)} Busy, ${String(counts.unusable)} Unusable`,
    );
  } catch (error) {
    if (error instanceof UnreachableError)
      return { note: `does not answer at ${url}: start it with vmpool serve` };
    throw error;
  } finally {
    client.close();
  }
};

/** What the guest image must offer, looked for on a VM that is Free. */
export const checkGuest = async ({ config, book }: Subject): Promise<Verdict> => {
  const found = await book();
  if (found.kind !== 'read') return { note: 'no VM to look at yet' };
  const free = found.book.members.values().find((m) => m.state.kind === 'Free' && m.endpoint !== null);
  if (free?.endpoint == null) return { note: 'no VM is Free at the moment; look again when one is' };
  const guest = createGuest({
    adminUser: config.guest.user,
    privateKeyFile: config.guest.privateKeyFile,
    hostKeyPolicy: config.guest.hostKeys,
    stateDir: config.stateDir,
    // The contract alone is asked about: no marker is read or written.
    markerSecret: randomBytes(32),
    clock: { now: () => Date.now() },
    log: () => undefined,
  });
  try {
    const target = { member: free.name, endpoint: free.endpoint, hostKeys: free.hostKeys };
    const result = await guest.contract(target, AbortSignal.timeout(limitMs));
    if (result.ok) return { ok: `${free.name} has all that the image's contract asks for` };
    return {
      faults: result.missing.map((what) => `${free.name} lacks ${what} (the guest image's contract)`),
    };
  } finally {
    await guest.close();
  }
};
