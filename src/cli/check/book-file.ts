import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Book } from '../../pool/book.js';
import { bookSchema, bookVersion } from '../../pool/book-schema.js';
import { bookPath } from '../../service/open-book.js';
import { currentDocument } from '../../store/current.js';
import { errorCode, nodeFiles } from '../../store/files.js';

export type BookFound =
  | { readonly kind: 'none'; readonly path: string }
  | { readonly kind: 'read'; readonly path: string; readonly book: Book }
  | { readonly kind: 'unusable'; readonly path: string; readonly why: string };

/** Reads the book beside a running service, which replaces the file whole: what is read is one state of it. */
export const readBook = async (stateDir: string): Promise<BookFound> => {
  const path = bookPath(stateDir);
  const found = await currentDocument(nodeFiles, path);
  if (found.kind === 'none') return { kind: 'none', path };
  if (found.kind === 'unusable') return { kind: 'unusable', path, why: found.why };
  const { version, json } = found.envelope;
  if (version !== bookVersion) {
    return {
      kind: 'unusable',
      path,
      why: `its format is version ${String(version)}, this is ${String(bookVersion)}`,
    };
  }
  const parsed = bookSchema.safeParse(JSON.parse(json));
  return parsed.success
    ? { kind: 'read', path, book: parsed.data }
    : { kind: 'unusable', path, why: z.prettifyError(parsed.error).replaceAll('\n', ' ') };
};

/** Pid of the process that owns the store, or null. */
export const ownerOf = (stateDir: string): number | null => {
  try {
    const { pid } = z
      .object({ pid: z.int() })
      .parse(JSON.parse(readFileSync(`${bookPath(stateDir)}.lock`, 'utf8')));
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // Somebody else's process: it lives.
    return errorCode(error) === 'EPERM' ? -1 : null;
  }
};
