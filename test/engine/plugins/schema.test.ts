import { createRequire } from 'node:module';
import { dirname } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { readDeclarations, type Declared } from './declarations.js';
import { readPluginSchema, type Served } from './plugin-schema.js';
import { differences } from './shapes.js';

const require = createRequire(import.meta.url);

/** Where plugin and declarations may differ, with the reason. */
const exceptions: Readonly<Record<string, string>> = {};

const packages = [
  { npm: '@pulumi/openstack', plugin: 'openstack@3.15.2', resources: 105, functions: 53 },
  { npm: '@pulumi/command', plugin: 'command@1.2.1', resources: 4, functions: 1 },
];

describe.each(packages)('the plugin $plugin', ({ npm, plugin, resources, functions }) => {
  const declared = readDeclarations(dirname(require.resolve(`${npm}/package.json`)));
  const served = readPluginSchema(plugin);

  it('says its version', () => {
    expect(served.version).toBe(plugin.split('@')[1]);
  });

  it('has the resources and functions of the npm package, and no others', () => {
    expect(declared.resources.size).toBe(resources);
    expect(declared.functions.size).toBe(functions);
    expect([...served.resources.keys()].sort()).toEqual([...declared.resources.keys()].sort());
    expect([...served.functions.keys()].sort()).toEqual([...declared.functions.keys()].sort());
  });

  it('takes the inputs that the declarations show: names, required or not, shapes', () => {
    const lines = compare(declared.resources, served.resources, 'inputs').concat(
      compare(declared.functions, served.functions, 'inputs'),
    );
    expect(unexplained(lines)).toEqual([]);
  });

  it('gives the outputs that the declarations show: names and shapes', () => {
    const lines = compare(declared.resources, served.resources, 'outputs').concat(
      compare(declared.functions, served.functions, 'outputs'),
    );
    expect(unexplained(lines)).toEqual([]);
  });

  it('keeps secret what the npm package keeps secret', () => {
    const wanted = [...declared.resources.values()].map(({ token, secrets }) => [token, [...secrets].sort()]);
    const got = [...declared.resources.keys()].map((token) => [
      token,
      [...(served.resources.get(token)?.secrets ?? [])].sort(),
    ]);
    expect(got).toEqual(wanted);
  });

  it('takes the provider settings that the declarations show', () => {
    expect(unexplained(differences('provider', declared.provider, served.provider, { required: true }))).toEqual([]);
  });
});

function compare(
  declared: ReadonlyMap<string, Declared>,
  served: ReadonlyMap<string, Served>,
  side: 'inputs' | 'outputs',
): string[] {
  return [...declared].flatMap(([token, item]) => {
    const other = served.get(token);
    if (other === undefined) return [`${token}: the plugin does not have it`];
    // What an output promises to be there does not matter to a program as what an input demands.
    return differences(token, item[side], other[side], { required: side === 'inputs' });
  });
}

function unexplained(lines: readonly string[]): string[] {
  return lines.filter((line) => exceptions[line.slice(0, line.indexOf(': '))] === undefined);
}
