import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { personalPulumiHome, pulumiHomeAt } from '../../../src/engine/home.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vmpool-home-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const installed = (name: string, plugins: readonly string[]): string => {
  const home = join(directory, name);
  for (const plugin of plugins) {
    mkdirSync(join(home, 'plugins', plugin), { recursive: true });
    writeFileSync(join(home, 'plugins', plugin, 'program'), `${name} ${plugin}`);
  }
  // As Pulumi leaves it beside a plugin that was used.
  writeFileSync(join(home, 'plugins', `${plugins[0] ?? ''}.lastused`), '');
  return home;
};

describe('a PULUMI_HOME beside the installed one', () => {
  it('has the plugins in directories of its own, because Pulumi passes over links to directories', () => {
    const home = pulumiHomeAt(join(directory, 'own'), installed('a', ['one', 'two']));
    expect(readdirSync(join(home, 'plugins')).sort()).toEqual(['one', 'two']);
    expect(readFileSync(join(home, 'plugins/two/program'), 'utf8')).toBe('a two');
    expect(readlinkSync(join(home, 'plugins/one/program'))).toBe(join(directory, 'a/plugins/one/program'));
  });

  it('follows an engine of another version, and keeps what Pulumi wrote', () => {
    const home = pulumiHomeAt(join(directory, 'own'), installed('a', ['one', 'two']));
    writeFileSync(join(home, 'workspace.json'), '{}');
    rmSync(join(directory, 'a'), { recursive: true });
    pulumiHomeAt(home, installed('b', ['two', 'three']));
    expect(readdirSync(join(home, 'plugins')).sort()).toEqual(['three', 'two']);
    expect(readFileSync(join(home, 'plugins/two/program'), 'utf8')).toBe('b two');
    expect(readFileSync(join(home, 'workspace.json'), 'utf8')).toBe('{}');
  });

  it('is not needed by whom the installed one belongs to', () => {
    const own = installed('a', ['one']);
    const env = { XDG_CACHE_HOME: join(directory, 'cache') };
    expect(personalPulumiHome(own, env)).toBe(own);
    expect(existsSync(env.XDG_CACHE_HOME)).toBe(false);
  });
});
