import { createHash, randomBytes } from 'node:crypto';
import { parseDocument } from 'yaml';

/** A new bearer token: 256 random bits, so that a plain hash of it cannot be turned back by guessing. */
export const newToken = (): string => `vmpt_${randomBytes(32).toString('base64url')}`;

/** How a token stands in the configuration: SHA-256, hexadecimal. */
export const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex');

export interface HashedEntry {
  readonly name: string;
  readonly sha256: string;
}

/**
 * The text of a configuration with the hash in the place of each token's file or variable; comments and order stay.
 * Also the names of those that were changed.
 *
 * @param known the same configuration as it was loaded: its tokens by name, hashed
 */
export const withHashedTokens = (
  text: string,
  known: readonly HashedEntry[],
): { readonly text: string; readonly changed: readonly string[] } => {
  const document = parseDocument(text);
  const changed: string[] = [];
  known.forEach(({ name, sha256 }, index) => {
    const at = (key: string): readonly (string | number)[] => ['auth', 'tokens', index, key];
    if (document.hasIn(at('sha256'))) return;
    document.deleteIn(at('tokenFile'));
    document.deleteIn(at('tokenEnv'));
    document.setIn(at('sha256'), sha256);
    changed.push(name);
  });
  return { text: changed.length === 0 ? text : document.toString({ lineWidth: 0 }), changed };
};
