import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { loadConfig } from '../../../src/config/load.js';
import { tokenHash } from '../../../src/config/tokens.js';
import { authenticate } from '../../../src/http/authenticate.js';
import { play } from './play.js';

let folder: string;
const file = (name: string, text: string, mode = 0o600): string => {
  writeFileSync(join(folder, name), text, { mode });
  return join(folder, name);
};
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmpool-token-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('vmpool token', () => {
  it('new: a token and the entry that lets it in, another one each time', async () => {
    const made = await play(['token', 'new', '--name', 'n1', '--role', 'worker', '--worker', 'node1']);
    expect(made.code).toBe(0);
    const [, token = ''] = /^token: (\S+)$/m.exec(made.out) ?? [];
    expect(token).toMatch(/^vmpt_[A-Za-z0-9_-]{43}$/);
    const [entry] = parse(made.out.slice(made.out.indexOf('  - name'))) as [Record<string, string>];
    expect(entry).toEqual({ name: 'n1', role: 'worker', worker: 'node1', sha256: tokenHash(token) });
    const known = [{ name: 'n1', role: 'worker', worker: 'node1', sha256: entry['sha256'] ?? '' } as const];
    expect(authenticate(`Bearer ${token}`, known, () => '')).toMatchObject({ worker: 'node1' });
    const again = await play(['token', 'new', '--name', 'n1', '--role', 'viewer']);
    expect(again.out).not.toContain(token);
  });

  it('new --out: only into a new file that nobody else can read', async () => {
    const out = join(folder, 'fresh.token');
    const made = await play(['token', 'new', '-n', 'op', '-r', 'operator', '-o', out]);
    expect(made.out).toContain(tokenHash(readFileSync(out, 'utf8').trim()));
    expect(made.out).not.toContain('vmpt_');
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect(await play(['token', 'new', '-n', 'op', '-r', 'operator', '-o', out])).toMatchObject({
      code: 2,
      err: expect.stringContaining('EEXIST') as unknown,
    });
    expect((await play(['token', 'new', '-n', 'n', '-r', 'worker'])).code).toBe(2);
    expect((await play(['token', 'new', '-n', 'n', '-r', 'viewer', '-w', 'node1'])).code).toBe(2);
  });

  it('hash: as the service hashes it, and not of a file that is open to all', async () => {
    const token = 'a-token-of-some-length';
    expect((await play(['token', 'hash', file('t', `${token}\n`)])).out).toBe(
      `sha256: ${tokenHash(token)}\n`,
    );
    expect((await play(['token', 'hash', file('open', token, 0o644)])).code).toBe(2);
  });

  it('migrate: hashes in the place of files and variables; comments stay, the same tokens get in', async () => {
    file('worker.token', 'w'.repeat(40));
    file('secret', 's'.repeat(40));
    const text = `# ours
pool: p
auth:
  tokens:
    # the first node
    - { name: n1, role: worker, worker: node1, tokenFile: worker.token }
    - name: op # at night
      role: operator
      tokenEnv: OP_TOKEN
    - { name: eyes, role: viewer, sha256: ${'a'.repeat(64)} }
engine: { passphraseFile: secret }
guest: { privateKeyFile: secret }
`;
    const path = file('vmpool.yaml', text, 0o640);
    const env = { OP_TOKEN: 'o'.repeat(40) };
    const before = loadConfig(path, env);
    const done = await play(['token', 'migrate', '--config', path], undefined, env);
    expect(done).toMatchObject({ code: 0, out: expect.stringMatching(/^Hashed: n1, op\./) as unknown });
    const written = readFileSync(path, 'utf8');
    for (const kept of ['# ours', '# the first node', '# at night']) expect(written).toContain(kept);
    expect(written).not.toMatch(/tokenFile|tokenEnv/);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(loadConfig(path, {})).toEqual(before);
    expect((await play(['token', 'migrate', '--config', path])).out).toContain('hashed already');
  });
});
