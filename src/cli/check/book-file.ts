import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Book } from '../../pool/book.js';
import { bookSchema, bookVersion } from '../../pool/book-schema.js';
import { bookPath } from '../../service/open-book.js';
import { decode } from '../../store/envelope.js';
import { errorCode, errorText, nodeFiles, readIfThere } from '../../store/files.js';

export type BookFound =
  | { readonly kind: 'none'; readonly path: string }
  | { readonly kind: 'read'; readonly path: string; readonly book: Book }
  | { readonly kind: 'unusable'; readonly path: string; readonly why: string };

/** Reads the book beside a running service, which replaces the file whole: what is read is one state of it. */
export const readBook = async (stateDir: string): Promise<BookFound> => {
  const path = bookPath(stateDir);
  let bytes: Buffer | null;
  try {
    bytes = await readIfThere(nodeFiles, path);
  } catch (error) {
    return { kind: 'unusable', path, why: errorText(error) };
  }
  if (bytes === null) return { kind: 'none', path };
  const decoded = decode(bytes);
  if (!decoded.ok) return { kind: 'unusable', path, why: decoded.why };
  const { version, json } = decoded.envelope;
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
