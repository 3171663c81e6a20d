import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBaseLayer } from '../../src/embedded/sandbox/base-layer.js';
import { sandboxProgram } from '../../src/embedded/sandbox/program.js';

let host: string;
let layer: string;
beforeAll(async () => {
  host = mkdtempSync(join(tmpdir(), 'vm-bench-guarded-'));
  layer = mkdtempSync(join(tmpdir(), 'vm-bench-layer-'));
  mkdirSync(join(host, 'app/keys'), { recursive: true });
  mkdirSync(join(host, 'closed'), { mode: 0o700 });
  mkdirSync(join(host, 'open'));
  writeFileSync(join(host, 'app/settings'), 'for all', { mode: 0o644 });
  writeFileSync(join(host, 'app/keys/token'), 'secret', { mode: 0o600 });
  writeFileSync(join(host, 'app/keys/group'), 'secret', { mode: 0o640 });
  writeFileSync(join(host, 'closed/secret'), 'secret', { mode: 0o644 });
  writeFileSync(join(host, 'open/file'), 'for all', { mode: 0o644 });
  await writeBaseLayer(await sandboxProgram(), layer, [], ['/etc', host]);
}, 60_000);
afterAll(() => {
  for (const folder of [host, layer]) rmSync(folder, { recursive: true, force: true });
});

/** Overlayfs takes a character device 0/0 for a file that is not there. */
const isHidden = (path: string): boolean => {
  const status = lstatSync(join(layer, path), { throwIfNoEntry: false });
  return status?.isCharacterDevice() === true && status.rdev === 0;
};

describe("the layer that hides the host's files", () => {
  it('hides what not everyone may read below a guarded folder, and only that', () => {
    for (const path of ['app/keys/token', 'app/keys/group', 'closed'])
      expect([path, isHidden(join(host, path))]).toEqual([path, true]);
    expect(readdirSync(join(layer, host, 'app'))).toEqual(['keys']);
    expect(readdirSync(join(layer, host)).sort()).toEqual(['app', 'closed']);
  });

  it('shows of the top level the folders of programs alone', () => {
    const shown = readdirSync('/').filter((name) => !readdirSync(layer).includes(name));
    for (const name of shown)
      expect(['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr']).toContain(name);
    expect(readdirSync(join(layer, 'opt'))).toEqual([]);
    expect(readdirSync(join(layer, 'srv'))).toEqual([]);
  });

  it('shows of /usr what a small system has, and not what developers put on top', () => {
    for (const path of ['/usr/share/man', '/usr/share/doc', '/usr/include'].filter((one) => existsSync(one)))
      expect([path, isHidden(path)]).toEqual([path, true]);
    for (const path of ['/usr/bin', '/usr/sbin', '/usr/lib/x86_64-linux-gnu', '/usr/share/zoneinfo'])
      expect([path, isHidden(path)]).toEqual([path, false]);
  });
});
