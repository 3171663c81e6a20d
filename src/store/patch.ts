import { Table } from '../table.js';

/**
 * What changed from one version of a document to the next, as a JSON Patch (RFC 6902: add, replace and remove alone).
 * Versions are immutable and share what did not change, so that the difference is found by identity.
 */
export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 6901, section 3. */
const under = (path: string, key: string): string =>
  `${path}/${key.includes('~') || key.includes('/') ? key.replaceAll('~', '~0').replaceAll('/', '~1') : key}`;

/** Operations that make `after` of `before`, in an order in which they can be applied. */
export const diff = (before: unknown, after: unknown): PatchOperation[] => {
  const operations: PatchOperation[] = [];
  collect(before, after, '', operations);
  return operations;
};

const collect = (before: unknown, after: unknown, path: string, into: PatchOperation[]): void => {
  if (before === after) return;
  if (before instanceof Table && after instanceof Table) {
    for (const change of (after as Table<unknown>).changesFrom(before as Table<unknown>))
      member(change.before, change.after, path, change.key, into);
    return;
  }
  if (isPlain(before) && isPlain(after)) {
    for (const key of Object.keys(before))
      if (!Object.hasOwn(after, key)) member(before[key], undefined, path, key, into);
    // Own keys alone: one may be named as what every object inherits.
    for (const key of Object.keys(after))
      member(Object.hasOwn(before, key) ? before[key] : undefined, after[key], path, key, into);
  } else into.push({ op: 'replace', path, value: after });
};

/** One key of a map; what is undefined is not there, as in JSON. */
const member = (before: unknown, after: unknown, of: string, key: string, into: PatchOperation[]): void => {
  // First of all: nearly every key of a large book is the same, and its path is not needed then.
  if (before === after) return;
  const path = under(of, key);
  if (after === undefined) into.push({ op: 'remove', path });
  else if (before === undefined) into.push({ op: 'add', path, value: after });
  else collect(before, after, path, into);
};

/** The patch does not fit the document: it was made for another one. */
export class PatchError extends Error {}

/**
 * Applies operations to a document fresh from `JSON.parse`, in place; returns the document.
 *
 * @throws PatchError when an operation names what is not there, or adds what is
 */
export const applyPatch = (document: unknown, operations: readonly PatchOperation[]): unknown => {
  let root = document;
  for (const operation of operations) {
    if (operation.path === '') {
      if (operation.op !== 'replace') throw new PatchError(`${operation.op} of the whole document`);
      root = operation.value;
      continue;
    }
    const keys = operation.path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop() ?? '';
    let at = root;
    for (const key of keys) at = objectAt(at, operation.path)[key];
    const parent = objectAt(at, operation.path);
    if (Object.hasOwn(parent, last) === (operation.op === 'add'))
      throw new PatchError(`cannot ${operation.op} ${operation.path}`);
    if (operation.op === 'remove') Reflect.deleteProperty(parent, last);
    // Defined and not assigned: a key may be named `__proto__`.
    else
      Object.defineProperty(parent, last, {
        value: operation.value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
  }
  return root;
};

const objectAt = (value: unknown, path: string): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PatchError(`${path} leads nowhere`);
  return value as Record<string, unknown>;
};
