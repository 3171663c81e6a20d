import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { mountFields, mountSchema } from '../../../src/guest/mounts.js';

const mount = (changes: object) =>
  mountSchema.parse({ source: 'files:/scratch', target: '/scratch', ...changes });
const refuses = (changes: object): void => {
  expect(mountSchema.safeParse({ source: 'files:/scratch', target: '/scratch', ...changes }).success).toBe(
    false,
  );
};

describe('a mount that the site lists', () => {
  it('is for the pool, required and of type nfs4 unless told otherwise', () => {
    expect(mount({})).toEqual({
      source: 'files:/scratch',
      target: '/scratch',
      type: 'nfs4',
      options: '',
      scope: 'pool',
      required: true,
    });
  });

  it.each([
    '/',
    '/etc',
    '/etc/x',
    '/usr/local',
    '/proc/1',
    '/run/x',
    '/tmp/x',
    '/var/tmp',
    '/var',
    '/root/.ssh',
    '/a/../etc',
    'scratch',
    '/a//b',
    '/a\nb',
    '/dev/shm',
  ])('is not on %j', (target) => refuses({ target }));

  it('is under /home or /srv, say', () => {
    for (const target of ['/home', '/home/shared data', '/srv/x', '/var/scratch', '/etcetera', '/usr2'])
      expect(mount({ target }).target).toBe(target);
  });

  it('has no control characters, no blanks in its options, and the user in scope job only', () => {
    refuses({ source: 'a\0b' });
    refuses({ options: 'ro, exec' });
    refuses({ type: '-x' });
    refuses({ source: 'files:/home/{user}' });
    const own = mount({
      source: 'files:/home/{user}',
      target: '/home/{user}',
      scope: 'job',
      required: false,
    });
    expect(mountFields([own], 'alice')).toEqual(['nfs4', 'files:/home/alice', '/home/alice', '', '0']);
  });

  it("is made at the welcome when it is the pool's, and before the job's own at each lease", () => {
    const mounts = [mount({ target: '/job', scope: 'job' }), mount({ target: '/pool' })];
    expect(mountFields(mounts, null)).toEqual(['nfs4', 'files:/scratch', '/pool', '', '1']);
    expect(mountFields(mounts, 'alice').filter((field) => field.startsWith('/'))).toEqual(['/pool', '/job']);
  });

  it('is always five fields without a NUL', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string(), (source, options) => {
        const parsed = mountSchema.safeParse({ source, target: '/x', options });
        if (!parsed.success) return;
        const fields = mountFields([parsed.data], null);
        expect(fields).toHaveLength(5);
        expect(fields.join('')).not.toContain('\0');
      }),
    );
  });
});
