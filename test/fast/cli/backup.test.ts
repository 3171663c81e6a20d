import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { TestPlace } from '../backup/place.js';
import { play } from './play.js';

let here: TestPlace;
let config: string;
beforeEach(async () => {
  here = new TestPlace();
  here.fill();
  await here.commit(7);
  for (const name of ['token', 'passphrase', 'admin']) here.put(name, `${name}-${'x'.repeat(30)}\n`);
  config = here.path('vmpool.yaml');
  writeFileSync(
    config,
    stringify({
      pool: 'batch',
      stateDir: here.place.stateDir,
      auth: { tokens: [{ name: 'op', role: 'operator', tokenFile: here.path('token') }] },
      engine: { passphraseFile: here.path('passphrase'), backend: `file://${here.path('pulumi')}` },
      guest: { privateKeyFile: here.path('admin') },
    }),
  );
});
afterEach(() => here.close());

const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe('vmpool backup and restore', () => {
  it('make, verify and put back, and say at each step what is in it and what is not', async () => {
    const backups = here.path('backups');
    mkdirSync(backups);
    const made = await play(['backup', backups, '--keep', '3', '--config', config]);
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(made.out).toMatch(/mode 0600, read again and whole/);
    expect(made.out).toMatch(/keep it as you keep keys/);
    expect(made.out).toMatch(/Not in it: the configuration and the files that it names/);
    const file = `${backups}/${readdirSync(backups)[0] ?? ''}`;
    const verified = await play(['backup', '--verify', file]);
    expect(verified.code).toBe(0);
    expect(verified.out).toMatch(/is whole: pool batch, taken .* ago/);
    expect(verified.out).toMatch(/^book\.json +\d+$/m);
    const dry = await play(['restore', file, '--dry-run', '--config', config]);
    expect(dry.code).toBe(0);
    expect(dry.out).toMatch(/WOULD BE/);
    expect(dry.out).toMatch(/Nothing was changed\.\n$/);
    const restored = await play(['restore', file, '--json', '--config', config]);
    expect(restored.code).toBe(0);
    expect(json(restored.out)).toMatchObject({
      done: true,
      setAside: expect.arrayContaining([expect.stringContaining('book.json.aside-')]) as unknown,
    });
    expect(readFileSync(here.path('state/book.json'), 'utf8')).toContain('"origin":"restored"');
    // No secret on the screen, whatever is printed.
    const secret = readFileSync(here.place.capabilitySecretFile, 'utf8').trim();
    for (const { out } of [made, verified, dry, restored]) expect(out).not.toContain(secret);
  });

  it('a backup that is damaged, and a service that runs: 1, with what to do', async () => {
    const file = here.path('one.tgz');
    expect((await play(['backup', file, '--json', '--config', config])).code).toBe(0);
    const { store } = await here.serve();
    try {
      const refused = await play(['restore', file, '--config', config]);
      expect(refused.code).toBe(1);
      expect(refused.err).toMatch(/a service runs on .* stop it first, nothing was changed/);
    } finally {
      await store.close();
    }
    writeFileSync(file, readFileSync(file).subarray(0, 200));
    for (const args of [
      ['backup', '--verify', file],
      ['restore', file, '--config', config],
    ]) {
      const { code, err } = await play(args);
      expect(code).toBe(1);
      expect(err).toMatch(/cannot be used/);
    }
  });
});

describe('vmpool doctor', () => {
  it('tells what is wrong and changes nothing, repairs on order, and ends with 1 while something is to be done', async () => {
    here.put('state/book.json', 'x');
    chmodSync(here.place.stateDir, 0o755);
    // No cloud can be reached from here, and that is told besides.
    const env = {
      OS_AUTH_URL: 'http://127.0.0.1:1',
      OS_USERNAME: 'u',
      OS_PASSWORD: 'p',
      OS_PROJECT_NAME: 'p',
    };
    const looked = await play(['doctor', '--config', config], undefined, env);
    expect(looked.code).toBe(1);
    expect(looked.out).toMatch(/YOU +cloud: the cloud cannot be asked/);
    expect(looked.out).toMatch(
      /REPAIR +store: the book cannot be read: .*\n +.*book\.json\.1 of .* is put back/,
    );
    expect(looked.out).toMatch(
      /3 differences: 1 for you, 2 for vmpool doctor --repair, 0 that the running service/,
    );
    expect(readFileSync(here.path('state/book.json'), 'utf8')).toBe('x');
    const repaired = await play(['doctor', '--repair', '--json', '--config', config], undefined, env);
    expect(repaired.code).toBe(1);
    expect(json(repaired.out)).toMatchObject({
      ok: false,
      differences: [
        { about: 'cloud' },
        { about: 'store', repaired: { ok: true } },
        { about: 'store', repaired: { ok: true } },
      ],
    });
    expect(readFileSync(here.path('state/book.json'), 'utf8')).toContain('"origin":"restored"');
  });
});
