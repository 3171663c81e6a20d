import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import * as crypto from 'node:crypto';
import type { KnownToken } from '../../../src/http/authenticate.js';

const compared: (readonly [number, number])[] = [];
jest.unstable_mockModule('node:crypto', () => ({
  ...crypto,
  timingSafeEqual: (a: Buffer, b: Buffer): boolean => {
    compared.push([a.length, b.length]);
    return crypto.timingSafeEqual(a, b);
  },
}));
const { authenticate, capabilityToken } = await import('../../../src/http/authenticate.js');

const sha256 = (text: string): string => crypto.createHash('sha256').update(text).digest('hex');
const right = ['first-token-of-all', 'another-token', 'the-last-token'] as const;
const tokens: readonly KnownToken[] = right.map((text, at) => ({
  ...{ name: `t${String(at)}`, role: 'viewer', worker: null },
  sha256: sha256(text),
}));
const mac = 'A'.repeat(43);
const macOf = (lease: string): string => (lease === 'mine' ? mac : 'B'.repeat(43));
const nameOf = (token: string): string | null => authenticate(`Bearer ${token}`, tokens, macOf)?.name ?? null;

describe('whoever presents a token', () => {
  beforeEach(() => {
    compared.length = 0;
  });

  /** Nothing is told by the time that it takes: neither which token is right, nor how much of one, nor its length. */
  const ofHashes = [32, 32] as const;

  it.each([
    ['the first', right[0], 't0'],
    ['the last', right[2], 't2'],
    ['none', 'no-token-of-ours', null],
    ['all but the end of one', right[0].slice(0, -1), null],
    ['more than one', `${right[1]}x`, null],
    ['one letter', 'x', null],
    ['the hash of one, as it is stored', sha256(right[1]), null],
  ])('is compared by its hash with all of them, in constant time: %s', (_what, token, name) => {
    expect(nameOf(token)).toBe(name);
    expect(compared).toEqual(tokens.map(() => ofHashes));
  });

  it.each([
    ['the right one', 'mine', mac, 'lease mine'],
    ['all but its end', 'mine', `${mac.slice(0, -1)}B`, null],
    ['a shorter one', 'mine', mac.slice(0, 20), null],
    ['that of another lease', 'theirs', mac, null],
  ])('for one lease is compared by its hash, in constant time: %s', (_what, lease, presented, name) => {
    expect(nameOf(capabilityToken(lease, presented))).toBe(name);
    expect(compared).toEqual([ofHashes]);
  });
});
