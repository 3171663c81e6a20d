import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alice, Site } from './site.js';

jest.setTimeout(90_000);

describe('a service with a certificate of the site’s own authority', () => {
  let site: Site;
  let directory: string;
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { stdio: 'ignore', cwd: directory });

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-ca-'));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=site', '-keyout', 'ca.key', '-out', 'ca.pem');
    openssl('req', ...key, '-subj', '/CN=vmpool', '-keyout', 'key.pem', '-out', 'request.pem');
    writeFileSync(join(directory, 'names'), 'subjectAltName=IP:127.0.0.1\n');
    const from = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
    openssl('x509', '-req', '-in', 'request.pem', ...from, '-out', 'cert.pem');
    const file = (name: string): string => join(directory, name);
    site = await Site.open({
      tls: { cert: file('cert.pem'), key: file('key.pem'), ca: file('ca.pem') },
      config: { prologueLimitSeconds: 12, epilogueLimitSeconds: 12 },
    });
  });
  afterAll(async () => {
    await site?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('every hook reaches it', async () => {
    const result = await site.mom.finished(site.mom.submit({ user: alice.name, script: 'echo ran' }));
    expect(result.stderr).toBe('');
    expect(result.stdout.toString()).toBe('ran\n');
    expect(site.service.liveJobs()).toEqual([]);
    expect((await site.mom.runHook('/usr/local/lib/vmpool/sync')).code).toBe(0);
    expect((await site.mom.runHook('/usr/local/lib/vmpool/nodecheck')).stdout).toBe('');
  });

  it('without that authority the node is out of service with the reason, and the job is held', async () => {
    const path = site.worker.path('/etc/vmpool/worker.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as { service: Record<string, unknown> };
    writeFileSync(path, JSON.stringify({ ...config, service: { ...config.service, caFile: null } }));
    const node = await site.mom.runHook('/usr/local/lib/vmpool/nodecheck');
    expect(node.stdout).toMatch(/^ERROR vmpool: cannot reach the lease service at .*: .*certificate/);
    const result = await site.mom.finished(site.mom.submit({ user: alice.name, script: 'echo ran' }));
    expect(result).toMatchObject({ state: 'held', starts: 1 });
  });
});
