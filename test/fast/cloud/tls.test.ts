import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { basics, id, openCloud, passwordEnv, play, server } from './play.js';
import type { PlayedCloud } from './play.js';
import { machineFiles } from '../../../src/cloud/openstack.js';

const still = new AbortController().signal;
let directory: string;
let played: PlayedCloud;
const at = (name: string) => path.join(directory, name);

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'vmpool-tls-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Site CA');
  openssl(
    ...[
      'req',
      '-x509',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      ...key,
      '-keyout',
      'server.key',
      '-out',
      'server.pem',
    ],
    ...[
      '-subj',
      '/CN=cloud',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-addext',
      'basicConstraints=CA:FALSE',
    ],
  );
  played = await play(
    (url) => ({ ...basics(url), 'GET /compute/v2.1/servers/s1': () => ({ json: { server: server('s1') } }) }),
    { cert: readFileSync(at('server.pem'), 'utf8'), key: readFileSync(at('server.key'), 'utf8') },
  );
});
afterAll(async () => {
  await played.close();
  rmSync(directory, { recursive: true });
});

async function nameOfServer(extra: Record<string, string>): Promise<string | undefined> {
  const cloud = openCloud(played.url, {
    env: { ...passwordEnv(played.url), ...extra },
    files: machineFiles(),
  });
  try {
    return (await cloud.server(id('s1'), still))?.name;
  } finally {
    cloud.close();
  }
}

describe('a cloud behind a certificate of the site’s own', () => {
  it('is refused, and the error says how to trust it', async () => {
    await expect(nameOfServer({})).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/certificate of 127\.0\.0\.1:\d+ is not trusted .*OS_CACERT/),
    });
  });

  it('is trusted by its authority, given by path or as text', async () => {
    expect(await nameOfServer({ OS_CACERT: at('ca.pem') })).toBe('s1');
    expect(await nameOfServer({ OS_CACERT: readFileSync(at('ca.pem'), 'utf8') })).toBe('s1');
  });

  it('is trusted where the system trusts it', async () => {
    expect(await nameOfServer({ SSL_CERT_FILE: at('ca.pem') })).toBe('s1');
  });

  it('is reached with a client certificate, and one that is broken is named', async () => {
    const ca = { OS_CACERT: at('ca.pem') };
    expect(await nameOfServer({ ...ca, OS_CERT: at('server.pem'), OS_KEY: at('server.key') })).toBe('s1');
    await expect(
      nameOfServer({ ...ca, OS_CERT: at('server.pem'), OS_KEY: at('ca.key') }),
    ).rejects.toMatchObject({ message: expect.stringContaining('do not belong together') });
  });

  it('is taken unseen when told to', async () => {
    expect(await nameOfServer({ OS_INSECURE: 'true' })).toBe('s1');
  });
});
