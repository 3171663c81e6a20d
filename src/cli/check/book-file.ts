import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Book } from '../../pool/book.js';
import { bookFormat } from '../../pool/book-schema.js';
import { bookPath } from '../../service/open-book.js';
import { errorCode, errorText, nodeFiles } from '../../store/files.js';
import { readDocument } from '../../store/store.js';

export type BookFound =
  | { readonly kind: 'none'; readonly path: string }
  | { readonly kind: 'read'; readonly path: string; readonly book: Book }
  | { readonly kind: 'unusable'; readonly path: string; readonly why: string };

/** Reads the book, also beside a running service: what is read is one committed state of it. */
export const readBook = async (stateDir: string): Promise<BookFound> => {
  const path = bookPath(stateDir);
  try {
    const read = await readDocument(nodeFiles, path, bookFormat);
    switch (read.kind) {
      case 'none':
        return { kind: 'none', path };
      case 'read':
        return { kind: 'read', path, book: read.document };
      case 'damaged':
        return { kind: 'unusable', path, why: read.why };
    }
  } catch (error) {
    return { kind: 'unusable', path, why: errorText(error) };
  }
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
