import type { HostKey } from '../pool/model.js';

/** Types that a server may present and OpenSSH still takes; DSA is not among them. */
const keyTypes = new Set([
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
]);

const beginMark = '-----BEGIN SSH HOST KEY KEYS-----';
const endMark = '-----END SSH HOST KEY KEYS-----';
/** A block has a handful of keys; a longer one is not a block but a log that lost its end mark. */
const maxKeys = 32;
const maxKeyChars = 4096;

// Terminal sequences (CSI, OSC, two-byte) and other control characters that consoles mix in.
const sequences =
  // eslint-disable-next-line no-control-regex
  /\u001b\[[0-9;:<=>?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]/g;
// eslint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

/** True when base64 decodes to a key blob that itself names the type: SSH's wire format begins with it. */
function isKeyOf(type: string, base64: string): boolean {
  if (base64.length > maxKeyChars || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return false;
  const blob = Buffer.from(base64, 'base64');
  // Base64 that Node reads leniently (wrong length, stray bits) would not match a presented key later.
  if (blob.toString('base64') !== base64 || blob.length < 4) return false;
  const length = blob.readUInt32BE(0);
  return (
    length === type.length && blob.toString('latin1', 4, 4 + length) === type && blob.length > 4 + length + 4
  );
}

/** The host key in a line, whatever a console has put before it; null when there is none. */
function keyIn(line: string): HostKey | null {
  const words = line.split(/[ \t]+/);
  for (let at = 0; at + 1 < words.length; at += 1) {
    const type = words[at] ?? '';
    const base64 = words[at + 1] ?? '';
    if (keyTypes.has(type) && isKeyOf(type, base64)) return `${type} ${base64}`;
  }
  return null;
}

/**
 * Host keys that a server printed on its console, as cloud-init does: one key a line between its begin and
 * end marks. Lines may carry prefixes (time stamps, `[   12.3] cloud-init[812]: `), CR LF and terminal
 * sequences. A log may hold several boots: the last complete block with a key in it wins. Null when there
 * is none, so a log that is cut off, or written over in the middle, teaches nothing.
 *
 * A console shows whatever any program on the VM wrote to it. Read it before a job has run there, never after.
 */
export function consoleHostKeys(log: string): readonly HostKey[] | null {
  let last: readonly HostKey[] | null = null;
  let open: HostKey[] | null = null;
  for (const raw of log.split(/\r\n|\n|\r/)) {
    const line = raw.replace(sequences, '').replace(controls, '').trimEnd();
    if (line.includes(beginMark)) {
      open = [];
      continue;
    }
    if (open === null) continue;
    if (line.includes(endMark)) {
      if (open.length > 0) last = open;
      open = null;
      continue;
    }
    const key = keyIn(line);
    if (key !== null && !open.includes(key)) open.push(key);
    if (open.length > maxKeys) open = null;
  }
  return last;
}
