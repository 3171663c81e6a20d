import { generateKeyPairSync, randomBytes } from 'node:crypto';

export interface KeyPair {
  /** OpenSSH's own private key format, unencrypted: the only one that ssh reads for ed25519. */
  readonly privateKey: string;
  readonly publicKey: string;
}

const part = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const words = (...texts: string[]): Buffer => Buffer.concat(texts.map((text) => part(Buffer.from(text))));
const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A key pair for one lease. Format: openssh PROTOCOL.key. */
export function makeKeyPair(comment: string): KeyPair {
  const pair = generateKeyPairSync('ed25519');
  const { x, d } = pair.privateKey.export({ format: 'jwk' });
  if (x === undefined || d === undefined) throw new Error('no ed25519 key was made');
  const open = Buffer.from(x, 'base64url');
  const secret = Buffer.from(d, 'base64url');
  const publicBlob = Buffer.concat([words('ssh-ed25519'), part(open)]);
  const check = randomBytes(4);
  const plain = Buffer.concat([
    check,
    check,
    publicBlob,
    part(Buffer.concat([secret, open])),
    words(comment),
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (plain.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    words('none', 'none', ''),
    number(1),
    part(publicBlob),
    part(Buffer.concat([plain, padding])),
  ]);
  const lines = file.toString('base64').replace(/.{70}/g, '$&\n').trimEnd();
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicKey: `ssh-ed25519 ${publicBlob.toString('base64')} ${comment}`,
  };
}
