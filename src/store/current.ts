import { decode, type Envelope } from './envelope.js';
import { errorText, readIfThere, type StoreFiles } from './files.js';

export type CurrentDocument =
  | { readonly kind: 'none' }
  | { readonly kind: 'read'; readonly envelope: Envelope }
  | { readonly kind: 'unusable'; readonly why: string };

/**
 * What the store holds at this moment, read beside the process that owns it: one state of it, because the file is only
 * ever replaced whole. Changes nothing.
 */
export const currentDocument = async (files: StoreFiles, path: string): Promise<CurrentDocument> => {
  let bytes: Buffer | null;
  try {
    bytes = await readIfThere(files, path);
  } catch (error) {
    return { kind: 'unusable', why: errorText(error) };
  }
  if (bytes === null) return { kind: 'none' };
  const decoded = decode(bytes);
  return decoded.ok ? { kind: 'read', envelope: decoded.envelope } : { kind: 'unusable', why: decoded.why };
};
