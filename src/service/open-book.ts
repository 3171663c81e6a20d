import { join } from 'node:path';
import type { Book } from '../pool/book.js';
import { emptyBook } from '../pool/book.js';
import { bookFormat } from '../pool/book-schema.js';
import type { InstallationId } from '../pool/model.js';
import { distrust } from '../pool/restore.js';
import { nodeFiles, type StoreFiles } from '../store/files.js';
import type { Store } from '../store/port.js';
import { openStore, type StoreClock } from '../store/store.js';
import type { Log } from './log.js';

/** Why the service cannot start, in words for the operator. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

export const bookPath = (stateDir: string): string => join(stateDir, 'book.json');

/** Whose book it is. */
export interface BookOwner {
  readonly stateDir: string;
  readonly pool: string;
  readonly hostKeys: 'console' | 'first-sight';
}

/**
 * Opens the book and says what to do when it cannot be used.
 *
 * @throws StartError when it is owned by another process, damaged, or another pool's
 */
export async function openBook(
  owner: BookOwner,
  installation: InstallationId,
  log: Log,
  clock: StoreClock = { now: () => Date.now() },
  files: StoreFiles = nodeFiles,
): Promise<{ readonly store: Store<Book>; readonly book: Book }> {
  const opened = await openStore<Book>({
    path: bookPath(owner.stateDir),
    ...bookFormat,
    initial: () => emptyBook(installation, owner.pool, clock.now()),
    clock,
    onWarning: (message) => log.warn({}, message),
    files,
  });
  switch (opened.kind) {
    case 'created':
      log.info({ installation }, 'a new book was made');
      return { store: opened.store, book: opened.document };
    case 'opened': {
      if (opened.document.pool !== owner.pool || opened.document.installation !== installation) {
        await opened.store.close();
        throw new StartError(
          `the book in ${owner.stateDir} belongs to pool ${opened.document.pool} of installation ${opened.document.installation}, ` +
            `not to ${owner.pool} of ${installation}: use another stateDir for another pool`,
        );
      }
      if (!opened.restored && !opened.cutOff) return { store: opened.store, book: opened.document };
      log.warn(
        {},
        opened.restored
          ? 'the book was put back from a copy: every VM is looked at before it is leased again'
          : "the book's journal ends within a line, as after a power cut, or commits are missing: " +
              'every VM is looked at before it is leased again',
      );
      return {
        store: opened.store,
        book: distrust(opened.document, clock.now(), owner.hostKeys === 'console'),
      };
    }
    case 'owned':
      throw new StartError(
        `another process (pid ${opened.pid} on ${opened.host}) serves ${opened.path}: stop it first, or use another stateDir`,
      );
    case 'damaged':
      throw new StartError(`${opened.path} cannot be used: ${opened.why}\n${opened.howToRecover}`);
  }
}
