import type { Envelope } from './envelope.js';
import { errorText, type StoreFiles } from './files.js';
import { readStored } from './stored.js';

export type CurrentDocument =
  | { readonly kind: 'none' }
  | { readonly kind: 'read'; readonly envelope: Envelope }
  | { readonly kind: 'unusable'; readonly why: string };

/**
 * What the store holds at this moment, read beside the process that owns it: one committed state of it, snapshot and
 * journal together. Changes nothing.
 */
export const currentDocument = async (
  files: StoreFiles,
  path: string,
  journalSince: number,
): Promise<CurrentDocument> => {
  try {
    const stored = await readStored(files, path, journalSince);
    if (stored.kind === 'none') return { kind: 'none' };
    if (stored.kind === 'damaged') return { kind: 'unusable', why: stored.why };
    const { version, savedAt, restored, document } = stored;
    return {
      kind: 'read',
      envelope: {
        version,
        savedAt,
        origin: restored ? 'restored' : 'commit',
        json: JSON.stringify(document),
      },
    };
  } catch (error) {
    return { kind: 'unusable', why: errorText(error) };
  }
};
