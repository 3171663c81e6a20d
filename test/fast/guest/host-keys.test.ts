import { describe, expect, it } from '@jest/globals';
import {
  hostKeyAlgorithms,
  hostKeyFromBlob,
  isKnownHostKey,
  normalHostKey,
} from '../../../src/guest/host-keys.js';

function key(type: string, content = 'x'): string {
  const field = (text: string): Buffer => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  return `${type} ${Buffer.concat([field(type), field(content)]).toString('base64')}`;
}
const ed = key('ssh-ed25519');
const rsa = key('ssh-rsa');

describe('a host key', () => {
  it('is known only as a whole', () => {
    expect(isKnownHostKey([`${ed} comment`], ed)).toBe(true);
    expect(isKnownHostKey([rsa], ed)).toBe(false);
    expect(isKnownHostKey([ed.slice(0, -4)], ed)).toBe(false);
    expect(isKnownHostKey([], ed)).toBe(false);
  });

  it('with another type inside than outside is none', () => {
    expect(normalHostKey(`ssh-rsa ${ed.split(' ')[1] ?? ''}`)).toBeNull();
    expect(normalHostKey('ssh-ed25519 !!!')).toBeNull();
    expect(hostKeyFromBlob(Buffer.from('zz'))).toMatch(/^unknown /);
    expect(hostKeyFromBlob(Buffer.from(ed.split(' ')[1] ?? '', 'base64'))).toBe(ed);
  });

  it('asks the server for a proof of the known types only', () => {
    expect(hostKeyAlgorithms([ed])).toEqual(['ssh-ed25519']);
    expect(hostKeyAlgorithms([rsa])).toEqual(['rsa-sha2-512', 'rsa-sha2-256']);
    expect(hostKeyAlgorithms([]).length).toBeGreaterThan(4);
  });
});
