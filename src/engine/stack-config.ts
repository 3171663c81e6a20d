import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { RawConfig } from '../../stacks/raw-config.js';
import { repoRoot } from '../repo-root.js';
import type { StackConfig } from './port.js';

const projectFile = z.looseObject({
  config: z.record(z.string(), z.looseObject({ type: z.string(), default: z.unknown() })),
});

const declared = (): z.infer<typeof projectFile>['config'] =>
  projectFile.parse(parse(readFileSync(join(repoRoot, 'Pulumi.yaml'), 'utf8'))).config;

/** The config as the Pulumi program receives it: every value as text, structured ones as JSON. Pure. */
export const rawOf = (config: StackConfig): RawConfig =>
  Object.fromEntries(
    Object.entries(config).flatMap(([key, value]): [string, string][] =>
      value === null || value === undefined
        ? []
        : [[key, typeof value === 'string' ? value : JSON.stringify(value)]],
    ),
  );

/** What the program receives of a config, defaults counting as written. Pure. */
export const effectiveConfig = (config: StackConfig, defaults: StackConfig): RawConfig => ({
  ...rawOf(defaults),
  ...rawOf(config),
});

/** The defaults that `Pulumi.yaml` declares; Pulumi gives them to the program as if they had been written. */
export const projectDefaults = (): StackConfig =>
  Object.fromEntries(
    Object.entries(declared()).flatMap(([key, { default: value }]): [string, unknown][] =>
      value === undefined ? [] : [[key, value]],
    ),
  );

/** Types of the keys that `Pulumi.yaml` declares. */
export const projectTypes = (): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(declared()).map(([key, { type }]) => [key, type]));

/** A value as it would be written in a stack's file, from the text that Pulumi keeps. Pure. */
export const writtenAs = (type: string | undefined, text: string): unknown => {
  if (type === undefined || type === 'string' || text === '') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};
