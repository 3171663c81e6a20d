import { createHash, timingSafeEqual } from 'node:crypto';

export type Role = 'worker' | 'operator' | 'viewer' | 'capability';

/** Who calls. */
export type Identity =
  | { readonly role: 'worker'; readonly name: string; readonly worker: string }
  | { readonly role: 'operator' | 'viewer'; readonly name: string }
  /** The job's side of one lease. */
  | { readonly role: 'capability'; readonly name: string; readonly lease: string };

/** A configured token by its hash; `worker` is the Torque node, null for other roles. */
export interface KnownToken {
  readonly name: string;
  readonly role: 'worker' | 'operator' | 'viewer';
  readonly worker: string | null;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
}

const capabilityForm = /^vmpc_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{16,128})$/;

/** What the job's side of a lease presents: the lease's id and its MAC in one word. */
export const capabilityToken = (leaseId: string, mac: string): string => `vmpc_${leaseId}_${mac}`;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Who presents this Authorization header; null for nobody known. Takes the same time whichever token matches
 * and however much of one is right: only hashes are compared, each with all.
 */
export const authenticate = (
  header: string | undefined,
  tokens: readonly KnownToken[],
  macOf: (leaseId: string) => string,
): Identity | null => {
  const presented = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(header ?? '')?.[1];
  if (presented === undefined) return null;
  const capability = capabilityForm.exec(presented);
  if (capability !== null) {
    const [, lease = '', mac = ''] = capability;
    return timingSafeEqual(digest(mac), digest(macOf(lease)))
      ? { role: 'capability', name: `lease ${lease}`, lease }
      : null;
  }
  const hash = digest(presented);
  let found: KnownToken | null = null;
  for (const token of tokens) {
    if (timingSafeEqual(hash, Buffer.from(token.sha256, 'hex'))) found = token;
  }
  if (found === null) return null;
  const { name, role, worker } = found;
  if (role !== 'worker') return { role, name };
  return worker === null ? null : { role, name, worker };
};
