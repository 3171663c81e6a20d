import { z } from 'zod';
import type { ConfigError } from './load.js';
import { settingsSchema } from './schema.js';

/** What is known of one key, from the schema's own description of its input. */
export interface KeyDescription {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, KeyDescription>>;
  readonly required?: readonly string[];
  readonly items?: KeyDescription;
  readonly additionalProperties?: boolean | KeyDescription;
}

export const settingsDescription = z.toJSONSchema(settingsSchema, {
  io: 'input',
  unrepresentable: 'any',
}) as KeyDescription;

const describedAt = (path: readonly PropertyKey[]): KeyDescription | undefined =>
  path.reduce<KeyDescription | undefined>(
    (at, part) => (typeof part === 'number' ? at?.items : at?.properties?.[String(part)]),
    settingsDescription,
  );

/** Changes of one letter that lead from one word to the other. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1]?.toLowerCase() === b[j - 1]?.toLowerCase() ? 0 : 1),
        ),
      );
    }
    row = next;
  }
  return row[b.length] ?? 0;
};

const unknownKey = (parent: readonly PropertyKey[], key: string): string => {
  if (/^(token|secret|password|passphrase|privateKey)$/i.test(key)) {
    return 'secrets are never written in this file: name a file or an environment variable that holds it';
  }
  const known = Object.keys(describedAt(parent)?.properties ?? {});
  const [closest] = known
    .map((candidate) => ({ candidate, far: distance(key.slice(0, 64), candidate) }))
    .sort((x, y) => x.far - y.far);
  return closest !== undefined && closest.far <= Math.max(2, key.length / 3)
    ? `unknown key; did you mean ${closest.candidate}?`
    : `unknown key; known here: ${known.join(', ')}`;
};

/** One problem of the schema as errors that name key, line and what is expected. */
export const explainIssue = (
  issue: z.core.$ZodIssue,
  lineOf: (path: readonly PropertyKey[]) => number | null,
): readonly ConfigError[] => {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...issue.path, key].map(String).join('.'),
      line: lineOf([...issue.path, key]),
      message: unknownKey(issue.path, key),
    }));
  }
  // Inputs are not kept in the issues: what is undefined in them was not given at all.
  const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  return [
    {
      path: issue.path.map(String).join('.'),
      line: lineOf(issue.path),
      message: missing
        ? `is required: ${describedAt(issue.path)?.description ?? ''}`
        : issue.message.replace(/^Invalid (input|option): /, ''),
    },
  ];
};
