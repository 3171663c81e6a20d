import { describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { checkOrder, environmentText, jobTmpDir } from '../../../src/guest/order.js';
import type { StageOrder } from '../../../src/guest/port.js';
import type { LeaseId } from '../../../src/pool/model.js';
import { order } from './orders.js';

const limits = { uidMin: 1000, gidMin: 1000 };
const check = (changes: Partial<StageOrder>) =>
  checkOrder({ ...order, ...changes }, limits, 'debian', { SITE: 'x' }, 'the marker');
const withUser = (changes: Partial<StageOrder['user']>) => check({ user: { ...order.user, ...changes } });

describe('an order for a VM', () => {
  it('becomes the fields of the script, site variables and TMPDIR included', () => {
    const checked = check({});
    expect(checked).toMatchObject({ ok: true });
    const fields = checked.ok ? checked.fields : [];
    expect(fields.slice(0, 9)).toEqual([
      'lease-1',
      'alice',
      4001,
      4001,
      '/home/alice',
      '/bin/bash',
      jobTmpDir('lease-1'),
      1000,
      1000,
    ]);
    expect(fields[10]).toBe("export A='b'\nexport SITE='x'\nexport TMPDIR='/tmp/vmpool-lease-1'");
    expect(fields.slice(12)).toEqual(['0 0 0 0 0 0', 0, 'alice', 4001, 'physics', 4100]);
  });

  it.each([
    ['the name of root', { name: 'root' }, "pool's own"],
    ['the name of the administrator', { name: 'debian' }, "pool's own"],
    ['a name with a colon', { name: 'a:b' }, 'cannot be an account'],
    ['a name like an option', { name: '-r' }, 'cannot be an account'],
    ['a name of digits', { name: '123' }, 'cannot be an account'],
    ['a name with a line end', { name: 'a\nb' }, 'cannot be an account'],
    ['a uid that is too low', { uid: 0 }, 'below 1000'],
    ['a uid that is no number', { uid: Number.NaN }, 'below 1000'],
    ['a uid beyond 32 bits', { uid: 2 ** 32 }, 'below 1000'],
    ['a system group', { groups: [...order.user.groups, { name: 'disk', gid: 6 }] }, 'gid 6 of group disk'],
    [
      'a hostile group name',
      { groups: [...order.user.groups, { name: 'a,b', gid: 4101 }] },
      'cannot be a group',
    ],
    ['a primary group without name', { gid: 4999 }, '4999'],
    ['the root as home', { home: '/' }, 'plain absolute path'],
    ['a home that climbs', { home: '/home/../etc' }, 'plain absolute path'],
    ['a home with a line end', { home: '/home/a\nuser root' }, 'plain absolute path'],
    ['a home with a colon', { home: '/home/a:0' }, 'plain absolute path'],
    ['a relative shell', { shell: 'bash' }, 'plain absolute path'],
  ] as const)('with %s is refused', (_what, changes, why) => {
    expect(withUser(changes)).toEqual({ ok: false, why: expect.stringContaining(why) });
  });

  it('with options before its key, or a second key, or a strange variable is refused', () => {
    for (const publicKey of [
      'command="x" ssh-ed25519 AAAA',
      'ssh-ed25519 AAAA\nssh-ed25519 BBBB',
      '',
      'ssh-ed25519',
    ]) {
      expect(check({ publicKey })).toMatchObject({ ok: false });
    }
    for (const environment of [{ 'A B': 'x' }, { 'A=$(x)': '' }, { A: 'a\0b' }])
      expect(check({ environment })).toMatchObject({ ok: false });
  });

  it('with a lease id that is none is misuse', () => {
    expect(() => check({ lease: '../x' as LeaseId })).toThrow('not a lease id');
  });
});

describe('the environment file', () => {
  it('gives a shell exactly the values', () => {
    const value = fc
      .string({ unit: 'binary' })
      .map((text) => text.replaceAll('\0', '').replace(/[\ud800-\udfff]/g, ''));
    fc.assert(
      fc.property(value, (text) => {
        const out = execFileSync('/bin/sh', ['-c', `${environmentText({ V: text })}\nprintf '%s' "$V"`]);
        expect(out.toString('utf8')).toBe(text);
      }),
      { numRuns: 20 },
    );
  });
});
