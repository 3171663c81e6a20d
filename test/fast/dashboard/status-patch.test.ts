import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { patched, statusPatch } from '../../../src/dashboard/status-patch.js';
import type { MemberView, StatusView } from '../../../src/http/api.js';
import { memberView, statusView } from '../cli/play.js';

const state = fc.constantFrom('Free', 'Busy', 'Unusable' as const);
const members = (names: fc.Arbitrary<string>): fc.Arbitrary<MemberView[]> =>
  fc
    .uniqueArray(fc.tuple(names, state, fc.string()), { selector: ([name]) => name, maxLength: 12 })
    .map((list) => list.map(([name, s, detail]) => memberView(name, { state: s as 'Free', detail })));
const status = fc
  .tuple(members(fc.constantFrom(...'abcdefghijkl')), fc.array(fc.string(), { maxLength: 3 }), fc.nat(5))
  .map(([list, problems, waiting]) =>
    statusView({
      members: list,
      problems,
      counts: { free: 0, busy: 0, unusable: 0, waiting, leases: 0 },
    }),
  );

/** VMs are listed by birth: who is in both lists has the same order in both. */
const inOrderOfBirth = (one: StatusView): StatusView => ({
  ...one,
  members: [...one.members].sort((a, b) => a.name.localeCompare(b.name)),
});

describe('a patch of the status', () => {
  it('turns the one into the other, whatever changed', () => {
    fc.assert(
      fc.property(status, status, (before, after) => {
        const patch = statusPatch(before, after);
        const result = patch === null ? before : patched(before, patch);
        expect(inOrderOfBirth(result)).toEqual(inOrderOfBirth(after));
      }),
    );
  });

  it('is none when only the clock went on', () => {
    const before = statusView({ members: [memberView('a')] });
    expect(statusPatch(before, { ...before, now: '2030-01-01T00:00:00.000Z' })).toBeNull();
  });

  it('carries only the VMs that changed, and the names of those that are gone', () => {
    const before = statusView({ members: ['a', 'b', 'c'].map((name) => memberView(name)) });
    const after = {
      ...before,
      members: [memberView('b', { state: 'Busy' }), memberView('c'), memberView('d')],
    };
    const patch = statusPatch(before, after);
    expect(patch?.members.map(({ name }) => name)).toEqual(['b', 'd']);
    expect(patch?.gone).toEqual(['a']);
    expect(
      patched(before, patch ?? { fields: {}, members: [], gone: [] }).members.map((m) => m.name),
    ).toEqual(['b', 'c', 'd']);
  });
});
