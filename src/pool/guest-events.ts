import type { Marker, ProbeResult, ScrubResult } from '../guest/port.js';
import type { Context, Member, State } from './book.js';
import { entryAt, isUnusable, without } from './book.js';
import { createSucceeded, createFailed } from './breaker.js';
import { isFirst, withBoot } from './late.js';
import type { NoteSink } from './members.js';
import { checked, moveMember, patchMember } from './members.js';
import type { HostKey, LeaseId, MemberName } from './model.js';
import { spent } from './spent.js';
import { disturbanceOf, troubleOf } from './observe.js';

/** Outcome of welcoming a new VM: probe, contract, baseline. */
export type WelcomeResult =
  | { readonly kind: 'welcomed'; readonly hostKeys: readonly HostKey[]; readonly bootId: string }
  | { readonly kind: 'silent'; readonly why: string }
  | { readonly kind: 'unfit'; readonly why: string }
  | { readonly kind: 'foreign-marker'; readonly why: string };

export function welcomed(
  s: State,
  name: MemberName,
  result: WelcomeResult,
  c: Context,
  note: NoteSink,
): State {
  const member = s.book.members.get(name);
  if (member?.state.kind !== 'Unusable' || member.state.reason !== 'building') return s;
  switch (result.kind) {
    case 'welcomed': {
      const state = patchMember(s, name, {
        hostKeys: result.hostKeys,
        bootId: result.bootId,
      });
      const detail = `ready ${c.now - member.state.since} ms after it was ${isFirst(member) ? 'decided' : 'rebuilt'}`;
      const ready = moveMember(state, name, 'welcomed', detail, c, note);
      if (!isFirst(member)) return ready;
      const boots = withBoot(ready.sight.boots, c.now - member.bornAt);
      return createSucceeded({ ...ready, sight: { ...ready.sight, boots } });
    }
    case 'silent':
      return detailOf(checked(s, name, false, c), member, `building: ${result.why}`);
    case 'unfit': {
      const state = createFailed(s, member.bornAt, result.why, c, note);
      return moveMember(state, name, 'unfit', result.why, c, note);
    }
    case 'foreign-marker':
      return moveMember(holdWith(s, member, result.why, c), name, 'foreignMarker', result.why, c, note);
  }
}

/** The reason shown for an unusable VM, without touching since when it is so. Not worth a commit of its own. */
function detailOf(s: State, member: Member, detail: string): State {
  return {
    ...s,
    sight: {
      ...s.sight,
      silent: {
        ...s.sight.silent,
        [member.name]: { since: entryAt(s.sight.silent, member.name)?.since ?? 0, why: detail },
      },
    },
  };
}

/** What a person holds stays that person's; a hold that stands already is not written again with each probe. */
function holdWith(s: State, member: Member, why: string, c: Context): State {
  if (member.hold !== null && member.hold.kind !== 'drain') return s;
  return patchMember(s, member.name, { hold: { kind: 'foreign-marker', why, at: c.now } });
}

/** The lease whose marker a probe of this member should find; `any` where either may stand. */
function expectedMarker(s: State, member: Member): LeaseId | null | 'any' {
  if (member.state.kind === 'Free') return null;
  if (member.state.kind === 'Busy') {
    const lease = s.book.leases.get(member.state.lease);
    // Between grant and ready the marker is on its way.
    return lease?.ready === true ? member.state.lease : 'any';
  }
  return member.tenant === null ? null : 'any';
}

function markerSeen(s: State, name: MemberName, marker: Marker | null, c: Context): State {
  return { ...s, sight: { ...s.sight, markers: { ...s.sight.markers, [name]: { marker, at: c.now } } } };
}

function usingSeen(s: State, { name, state }: Member, result: ProbeResult, c: Context): State {
  if (state.kind !== 'Busy' || !result.ok || result.marker?.lease !== state.lease) return s;
  const { measured } = result;
  // Before the job's program began there are but the copies of its files.
  if (measured?.begun !== true) return s;
  const { cpuSeconds, memoryBytes, wallSeconds } = measured;
  const using = { lease: state.lease, at: c.now, cpuSeconds, memoryBytes, wallSeconds };
  return { ...s, sight: { ...s.sight, using: s.sight.using.with(name, using) } };
}

/** A periodic probe of a VM that was welcomed before. */
export function probed(s: State, name: MemberName, result: ProbeResult, c: Context, note: NoteSink): State {
  const member = s.book.members.get(name);
  if (member === undefined) return s;
  let state = checked(s, name, result.ok, c);
  if (!result.ok) {
    const since = entryAt(state.sight.silent, name)?.since ?? c.now;
    state = {
      ...state,
      sight: {
        ...state.sight,
        silent: { ...state.sight.silent, [name]: { since, why: `${result.step}: ${result.why}` } },
      },
    };
    // One lost packet is no verdict: a Free VM leaves the pool at the second failed probe in a row, at once for a wrong key.
    if (result.step === 'host-key' && member.hostKeys.length > 0)
      return moveMember(state, name, 'unfit', result.why, c, note);
    // An operator may look at a VM that does not answer; files that wait to be fetched are no use on one.
    if (member.hold !== null && member.hold.kind !== 'copy-back') return state;
    const failures = state.sight.checked.get(name)?.failures ?? 1;
    return failures < 2 ? state : moveMember(state, name, 'silent', `${result.step}: ${result.why}`, c, note);
  }
  state = { ...state, sight: { ...state.sight, silent: without(state.sight.silent, name) } };
  if (member.state.kind === 'Busy' && member.hold?.kind === 'restored') {
    if (result.marker?.lease !== member.state.lease) return markerSeen(state, name, result.marker, c);
    // Still the job that the copy knew: what that said of the VM stands.
    return patchMember(state, name, { hold: member.hold.before ?? null });
  }
  if (member.state.kind === 'Unusable' && member.state.reason === 'held') {
    if (member.hostKeys.length === 0) state = patchMember(state, name, { hostKeys: result.hostKeys });
    return markerSeen(state, name, result.marker, c);
  }
  const expected = expectedMarker(state, member);
  const found = result.marker?.lease ?? null;
  const tenantMarker = member.tenant !== null && found === member.tenant.lease;
  if (expected !== 'any' ? found !== expected : found !== null && !tenantMarker) {
    const why = `its lease marker says ${found ?? 'nothing'}, the book ${expected === 'any' ? (member.tenant?.lease ?? 'nothing') : (expected ?? 'nothing')}`;
    // A job that became root may remove its own marker; a stranger's marker is another matter. Both are looked at after the job.
    return moveMember(holdWith(state, member, why, c), name, 'foreignMarker', why, c, note);
  }
  if (member.bootId !== null && member.bootId !== result.bootId && member.state.kind === 'Free') {
    return moveMember(state, name, 'rebooted', 'it was rebooted', c, note);
  }
  if (member.state.kind === 'Busy') return usingSeen(state, member, result, c);
  // A server in ERROR, or one that Nova is about to rebuild, may go on answering SSH; it is no use to anybody until
  // Nova says that it is well again.
  if (member.server !== null) {
    const { status } = member.server;
    if (isUnusable(member, 'error') && troubleOf(status) !== null) return state;
    if (isUnusable(member, 'unreachable') && disturbanceOf(status) !== null) return state;
  }
  return moveMember(state, name, 'answered', 'it answers again', c, note);
}

export function scrubbed(
  s: State,
  name: MemberName,
  result: ScrubResult,
  bootId: string | null,
  c: Context,
  note: NoteSink,
): State {
  const member = s.book.members.get(name);
  if (member?.state.kind !== 'Unusable' || member.state.reason !== 'scrubbing') return s;
  if (result.ok) {
    const told = spent(s, name, result.measured ?? null, c, note);
    const state = patchMember(told, name, bootId === null ? {} : { bootId });
    return moveMember(state, name, 'scrubbed', 'scrubbed and verified', c, note);
  }
  switch (result.kind) {
    case 'unreachable':
      return detailOf(checked(s, name, false, c), member, `scrubbing: ${result.why}`);
    case 'dirty':
      return moveMember(
        // Without figures it is asked once more on its way out.
        result.measured == null ? s : spent(s, name, result.measured, c, note),
        name,
        'dirty',
        `not clean after the scrub: ${result.why}: ${result.findings.slice(0, 5).join('; ')}`,
        c,
        note,
      );
    case 'foreign-marker':
      return moveMember(holdWith(s, member, result.why, c), name, 'foreignMarker', result.why, c, note);
  }
}

/** Rebuilt by our order and running again: new host keys, new baseline, nobody's traces. */
export function rebuilt(s: State, name: MemberName, c: Context, note: NoteSink): State {
  const member = s.book.members.get(name);
  if (member?.state.kind !== 'Unusable' || member.state.reason !== 'scrubbing') return s;
  return moveMember(
    patchMember(spent(s, name, null, c, note), name, { hostKeys: [], bootId: null, diskSince: c.now }),
    name,
    'rebuilt',
    'rebuilt from its image',
    c,
    note,
  );
}
