import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parseConfig, type Config } from '../../../src/config/load.js';
import { StartError } from '../../../src/service/open-book.js';
import { openParts } from '../../../src/service/parts.js';
import { fakeLog } from './fake-ports.js';

let folder: string;
let config: Config;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmpool-capability-'));
  writeFileSync(join(folder, 'secret'), 'x'.repeat(40), { mode: 0o600 });
  const text = stringify({
    ...{ pool: 'p', stateDir: 'state', capabilitySecretFile: 'key' },
    auth: { tokens: [{ name: 'op', role: 'operator', sha256: 'a'.repeat(64) }] },
    ...{ engine: { passphraseFile: 'secret' }, guest: { privateKeyFile: 'secret' } },
  });
  const loaded = parseConfig(text, folder, {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  ({ config } = loaded);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a capability secret that cannot be used', () => {
  const path = (): string => join(folder, 'key');
  const cases: readonly (readonly [string, () => void, RegExp])[] = [
    ['is empty', () => writeFileSync(path(), '', { mode: 0o600 }), /is empty/],
    ['is short enough to be guessed', () => writeFileSync(path(), 'short'), /fewer than 32 characters/],
    [
      'is open to every user',
      () => {
        writeFileSync(path(), 'x'.repeat(64));
        chmodSync(path(), 0o644);
      },
      /open to every user/,
    ],
    [
      'is no file',
      () => {
        rmSync(path());
        mkdirSync(path(), { mode: 0o700 });
      },
      /cannot be read/,
    ],
  ];
  it.each(cases)(
    'because it %s stops the start, with the reason, and is left as it is',
    async (_, spoil, why) => {
      spoil();
      // Again and again: a start that was refused has let the store go.
      for (let turn = 0; turn < 2; turn += 1) {
        const started = openParts(config, {}, fakeLog());
        await expect(started).rejects.toThrow(StartError);
        await expect(started).rejects.toThrow(why);
      }
    },
  );

  it('is never replaced by a new one: that would void every capability that was given out', () => {
    rmSync(path(), { recursive: true });
    writeFileSync(path(), 'short', { mode: 0o600 });
    return openParts(config, {}, fakeLog()).catch(() => {
      expect(readFileSync(path(), 'utf8')).toBe('short');
    });
  });
});
