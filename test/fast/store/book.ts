import { z } from 'zod';
import { nodeFiles, type StoreFiles } from '../../../src/store/files.js';
import { openStore, readDocument, type StoreOptions } from '../../../src/store/store.js';
import type { OpenResult } from '../../../src/store/port.js';

/** A small document for the store's tests: a counter and something to fill it up. */
export const book = z.strictObject({ n: z.int(), note: z.string().default('') });
export type Book = z.infer<typeof book>;

export const fixedClock = (
  at = Date.UTC(2026, 10, 23),
): { now: () => number; advance: (ms: number) => void } => {
  let now = at;
  return {
    now: () => now,
    advance: (ms) => {
      now += ms;
    },
  };
};

export const openBook = (path: string, more: Partial<StoreOptions<Book>> = {}): Promise<OpenResult<Book>> =>
  openStore<Book>({
    path,
    schema: book,
    version: 1,
    migrations: {},
    journalSince: 1,
    initial: () => ({ n: 0, note: '' }),
    clock: fixedClock(),
    ...more,
  });

/** The result of an opening that the test expects to succeed. */
export const opened = <T>(result: OpenResult<T>): Extract<OpenResult<T>, { kind: 'opened' | 'created' }> => {
  if (result.kind === 'opened' || result.kind === 'created') return result;
  throw new Error(JSON.stringify(result));
};

/** What a start would find, without starting. */
export const stored = async (path: string, files: StoreFiles = nodeFiles): Promise<Book> => {
  const read = await readDocument(files, path, { schema: book, version: 1, migrations: {}, journalSince: 1 });
  if (read.kind !== 'read') throw new Error(JSON.stringify(read));
  return read.document;
};
