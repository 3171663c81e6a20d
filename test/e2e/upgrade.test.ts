import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createClient, type Client } from '../../src/http/client.js';
import { bookFormat } from '../../src/pool/book-schema.js';
import { repoRoot } from '../../src/repo-root.js';
import { installationOf } from '../../src/service/installation.js';
import { bookPath, openBook } from '../../src/service/open-book.js';
import { encode } from '../../src/store/envelope.js';
import { quietLog } from '../support/quiet-log.js';
import { eventually, jobRequest, onVm, openSite, type EmbeddedSite } from '../support/site.js';
import { startServiceProcess, type ServiceProcess } from '../support/service-process.js';

const run = promisify(execFile);

/** `vmpool serve`, a VM to log in to and a job on it; between stop and start the store becomes one of the version before. */
describe('an upgrade while a job runs', () => {
  let site: EmbeddedSite;
  let service: ServiceProcess;
  let client: Client;
  let lease: string;
  let capability: string;
  let host: string;
  let member: string;
  const logged: string[] = [];

  const start = async (): Promise<void> => {
    service = await startServiceProcess(site, (line) => logged.push(line));
    client = createClient({ url: service.url, token: site.tokens.worker });
  };
  const stop = async (): Promise<void> => {
    client.close();
    expect(await service.stop()).toBe(0);
  };
  const vmpool = async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await run(process.execPath, [join(repoRoot, 'dist/src/cli/main.js'), ...args], {
      env: {
        ...process.env,
        ...{ VMPOOL_URL: service.url, VMPOOL_TOKEN_FILE: join(site.directory, 'operator.token') },
      },
    });
    return stdout;
  };
  /** The book as the version before kept it: a snapshot with everything, no journal, nothing that is newer. */
  const downgrade = async (): Promise<void> => {
    const { stateDir } = site.config;
    const installation = await installationOf(stateDir);
    const { store, book } = await openBook(
      { stateDir, pool: 'site', hostKeys: 'console' },
      installation,
      quietLog,
    );
    await store.close();
    const document = JSON.parse(JSON.stringify(book)) as { members: Record<string, { made?: unknown }> };
    for (const each of Object.values(document.members)) delete each.made;
    const [path, savedAt] = [bookPath(stateDir), new Date().toISOString()];
    for (const name of readdirSync(stateDir).filter((each) => /^book\.json\./.test(each)))
      rmSync(join(stateDir, name), { recursive: true });
    const version = bookFormat.version - 1;
    writeFileSync(path, encode({ version, savedAt, origin: 'commit', json: JSON.stringify(document) }));
  };

  beforeAll(async () => {
    site = await openSite({
      ...{ subnet: '127.109.0.0/16', shape: { min: 1, max: 1 } },
      cloud: { password: 'the-password-of-the-cloud' },
    });
    await site.shape({});
    await start();
    const asked = await client.request(jobRequest(1), { waitSeconds: 1 });
    ({ id: lease, capability } = asked);
    const view = await eventually('a ready VM', 120_000, async () => {
      const now = await client.lease(lease, { waitSeconds: 10, until: 'ready' });
      return now.ready && now.vm !== null ? now.vm : false;
    });
    ({ host, member } = view);
    await onVm(
      site,
      host,
      'setsid setpriv --reuid 2001 --regid 2001 --clear-groups sleep 71001 </dev/null >/dev/null 2>&1 &',
    );
    await stop();
    await downgrade();
    await start();
  }, 300_000);
  afterAll(async () => {
    client.close();
    await service.kill();
    await site.close();
  }, 60_000);

  it('the lease is there at the first answer, to its worker and to its job, and the job runs on', async () => {
    const view = await client.lease(lease);
    expect(view).toMatchObject({ state: 'granted', ready: true, job: '1.site', vm: { host, member } });
    const own = createClient({ url: service.url, token: capability });
    try {
      expect(await own.lease(lease)).toEqual(view);
    } finally {
      own.close();
    }
    expect((await onVm(site, host, "pgrep -c -u 2001 -f 'sleep 71001'")).trim()).toBe('1');
  }, 60_000);

  it('vmpool reads it', async () => {
    expect(await vmpool('status')).toMatch(/Busy .*1\.site/);
    expect(JSON.parse(await vmpool('leases', '--json'))).toMatchObject({ leases: [{ id: lease }] });
    expect(await vmpool('why', '1')).toContain(member);
  }, 60_000);

  it('its end cleans the VM, which is Free again, and the store is kept in the new version', async () => {
    expect(await vmpool('release', lease)).toMatch(/^Ended: /);
    await eventually('a clean VM', 120_000, async () => {
      const { members } = await client.status();
      return members.some(({ name, state }) => name === member && state === 'Free');
    });
    expect((await onVm(site, host, 'pgrep -c -u 2001 || true')).trim()).toBe('0');
    await stop();
    const { version } = JSON.parse(readFileSync(bookPath(site.config.stateDir), 'utf8')) as {
      version: number;
    };
    expect(version).toBe(bookFormat.version);
  }, 180_000);

  it('the log names request, job and VM of each step, before and after', () => {
    const lines = logged.map((line) => JSON.parse(line) as Record<string, unknown>);
    const steps = lines.filter((line) => line['lease'] === lease && typeof line['event'] === 'string');
    expect(steps.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['request', 'lease', 'staged', 'lease-ended', 'job-ended']),
    );
    for (const step of steps) expect(step).toMatchObject({ job: '1.site' });
    for (const step of steps.filter(({ event }) => event !== 'request')) expect(step['vm']).toBeDefined();
    expect(
      lines.filter((line) => line['lease'] === lease && line['requestId'] !== undefined).length,
    ).toBeGreaterThan(1);
  });

  it('and holds none of the secrets that the service has', () => {
    const all = [...logged, ...service.logged].join('\n');
    expect(all).toContain(lease);
    const file = (path: string): string => readFileSync(path, 'utf8').trim();
    const secrets: Readonly<Record<string, string>> = {
      worker: site.tokens.worker,
      operator: site.tokens.operator,
      capability,
      behind: file(site.config.capabilitySecretFile),
      passphrase: file(join(site.directory, 'passphrase')),
      key: file(join(site.directory, 'admin')).split('\n')[2] ?? '',
      cloud: site.env['OS_PASSWORD'] ?? '',
    };
    for (const [name, secret] of Object.entries(secrets)) {
      expect({ name, isOne: secret.length > 8 }).toEqual({ name, isOne: true });
      expect({ name, isThere: all.includes(secret) }).toEqual({ name, isThere: false });
    }
  });
});
