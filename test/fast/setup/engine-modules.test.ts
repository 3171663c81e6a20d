import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../../src/repo-root.js';

/** Module path to version, of what a go.mod requires. */
function required(part: string): Map<string, string> {
  const text = readFileSync(join(repoRoot, 'engine', part, 'go.mod'), 'utf8');
  const lines = text.matchAll(/^\s*(?:require\s+)?([^\s()]+\.[^\s()]+)\s+(v\d+\.\d+\.\d+\S*)/gm);
  return new Map([...lines].map(([, path = '', version = '']) => [path, version]));
}

/** Of `a`, whether it comes before `b`; of two that are no releases, by the time in their names. */
function older(a: string, b: string): boolean {
  return a.localeCompare(b, 'en', { numeric: true }) < 0;
}

describe('the Go modules that the engine is built from', () => {
  it.each(['openstack', 'command'])(
    'what %s shares with the CLI is of no older version, so that it is compiled once',
    (part) => {
      const cli = required('cli');
      const shared = [...required(part)].filter(([path]) => cli.has(path));
      expect(shared.length).toBeGreaterThan(50);
      const behind = shared
        .filter(([path, version]) => older(version, cli.get(path) ?? ''))
        .map(([path, version]) => `${path} ${version}: go get ${path}@${cli.get(path) ?? ''}`);
      expect(behind).toEqual([]);
    },
  );
});
