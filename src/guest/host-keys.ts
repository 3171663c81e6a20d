import type { HostKey } from '../pool/model.js';

/** Signature algorithms that prove the possession of a key of each type. */
const algorithmsOf: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

const keyPattern = /^([a-z0-9-]+) ([A-Za-z0-9+/]+={0,2})(?: .*)?$/;

/** Type and base64 of a key line, without its comment; null when it is none. */
export function normalHostKey(line: string): HostKey | null {
  const match = keyPattern.exec(line.trim());
  const type = match?.[1];
  const base64 = match?.[2];
  if (!type || !base64 || !Object.hasOwn(algorithmsOf, type)) return null;
  return typeInside(Buffer.from(base64, 'base64')) === type ? `${type} ${base64}` : null;
}

function typeInside(blob: Buffer): string | null {
  if (blob.length < 4) return null;
  const length = blob.readUInt32BE(0);
  return length > 64 || blob.length < 4 + length ? null : blob.toString('latin1', 4, 4 + length);
}

/** The known_hosts form of a key as it stands in the protocol. */
export function hostKeyFromBlob(blob: Buffer): HostKey {
  return `${typeInside(blob) ?? 'unknown'} ${blob.toString('base64')}`;
}

export function isKnownHostKey(known: readonly HostKey[], presented: HostKey): boolean {
  return known.some((key) => normalHostKey(key) === presented);
}

/**
 * What to ask of the server: only keys of the types that are known, because a server that proves another key than
 * the known one cannot be told from an impostor. All types when none is known.
 */
export function hostKeyAlgorithms(known: readonly HostKey[]): string[] {
  const types = known.length === 0 ? Object.keys(algorithmsOf) : known.map((key) => key.split(' ')[0] ?? '');
  return Object.keys(algorithmsOf)
    .filter((type) => types.includes(type))
    .flatMap((type) => algorithmsOf[type] ?? []);
}
