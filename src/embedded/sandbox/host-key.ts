import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';

export interface HostKey {
  /** Private key in OpenSSH's own format: the only one in which sshd reads Ed25519 keys everywhere. */
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA... comment`, one line without a line end. */
  readonly publicLine: string;
  /** `SHA256:...` as ssh-keygen -l prints it. */
  readonly fingerprint: string;
}

function field(data: Buffer | string): Buffer {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function rawKey(jwkPart: string | undefined): Buffer {
  if (jwkPart === undefined) throw new Error('the generated Ed25519 key lacks a part');
  return Buffer.from(jwkPart, 'base64url');
}

/** Generates an Ed25519 SSH key pair without starting a process (format: OpenSSH's PROTOCOL.key). */
export function generateSshKey(comment: string): HostKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  const jwk = privateKey.export({ format: 'jwk' });
  const publicPart = rawKey(jwk.x);
  const secretPart = rawKey(jwk.d);
  const publicBlob = Buffer.concat([field('ssh-ed25519'), field(publicPart)]);
  const check = randomBytes(4);
  let secret = Buffer.concat([
    check,
    check,
    publicBlob,
    field(Buffer.concat([secretPart, publicPart])),
    field(comment),
  ]);
  const padding = (8 - (secret.length % 8)) % 8;
  secret = Buffer.concat([secret, Buffer.from(Array.from({ length: padding }, (_, index) => index + 1))]);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(1);
  const whole = Buffer.concat([
    Buffer.from('openssh-key-v1\0', 'latin1'),
    field('none'),
    field('none'),
    field(''),
    count,
    field(publicBlob),
    field(secret),
  ]);
  const body =
    whole
      .toString('base64')
      .match(/.{1,70}/g)
      ?.join('\n') ?? '';
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicLine: `ssh-ed25519 ${publicBlob.toString('base64')} ${comment}`,
    fingerprint: `SHA256:${createHash('sha256').update(publicBlob).digest('base64').replace(/=+$/, '')}`,
  };
}
