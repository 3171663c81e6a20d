import type { GuestTarget, ProbeResult, ScrubResult, StageOrder, StageResult } from '../../src/guest/port.js';
import type { WelcomeResult } from '../../src/pool/guest-events.js';
import type { Measured } from '../../src/pool/measured.js';
import type { HostKey, LeaseId } from '../../src/pool/model.js';
import type { SimCloud, SimGuest } from './cloud.js';
import type { Faults } from './faults.js';

/** The guest behind a target, when it answers. */
export function guestOf(cloud: SimCloud, target: GuestTarget): SimGuest | null {
  return cloud.reach(target.endpoint.host);
}

export function welcomeGuest(guest: SimGuest | null): WelcomeResult {
  if (guest === null) return { kind: 'silent', why: 'no answer' };
  if (guest.marker !== null) return { kind: 'foreign-marker', why: `marker of ${guest.marker.lease}` };
  if (guest.unfit) return { kind: 'unfit', why: 'the image lacks useradd' };
  guest.baseline = true;
  return { kind: 'welcomed', hostKeys: [guest.hostKey], bootId: `boot-${guest.boot}` };
}

export function probeGuest(guest: SimGuest | null, known: readonly HostKey[]): ProbeResult {
  if (guest === null) return { ok: false, step: 'tcp', why: 'no answer' };
  if (known.length > 0 && !known.includes(guest.hostKey))
    return { ok: false, step: 'host-key', why: 'another host key' };
  const measured = guest.running.size > 0 ? used : null;
  return {
    ok: true,
    hostKeys: [guest.hostKey],
    marker: guest.marker,
    bootId: `boot-${guest.boot}`,
    measured,
  };
}

export function stageGuest(guest: SimGuest | null, order: StageOrder, faults: Faults): StageResult {
  if (guest === null || faults.strikes('stage-unreachable'))
    return { ok: false, kind: 'unreachable', why: 'no answer' };
  if (guest.marker !== null && guest.marker.lease !== order.lease)
    return { ok: false, kind: 'foreign-marker', why: `marker of ${guest.marker.lease}` };
  guest.marker = { lease: order.lease, key: order.key, user: order.user, authentic: true };
  guest.traces.add(order.lease);
  if (faults.strikes('stage-refused'))
    return { ok: false, kind: 'refused', why: 'the uid is held by another name' };
  guest.staged = order.lease;
  return { ok: true };
}

export function scrubGuest(guest: SimGuest | null, lease: LeaseId | null, faults: Faults): ScrubResult {
  const failed = (kind: 'unreachable' | 'dirty' | 'foreign-marker', why: string): ScrubResult => ({
    ok: false,
    kind,
    why,
    findings: [],
  });
  if (guest === null || faults.strikes('scrub-unreachable')) return failed('unreachable', 'no answer');
  if (guest.marker !== null && guest.marker.lease !== lease)
    return failed('foreign-marker', `marker of ${guest.marker.lease}`);
  if (!guest.baseline) return failed('dirty', 'there is no baseline to verify against');
  guest.running.clear();
  guest.staged = null;
  if (faults.strikes('scrub-dirty')) return failed('dirty', 'something is left');
  guest.traces.clear();
  guest.marker = null;
  return { ok: true, measured: used };
}

const used: Measured = {
  ...{ cpuSeconds: 1, memoryBytes: 1, wallSeconds: 1, begun: true, code: 0, told: false, over: null },
};

/** What the job used, of a VM that still has its marker. */
export const measureGuest = (guest: SimGuest | null, lease: LeaseId): Measured | null =>
  guest?.marker?.lease === lease ? used : null;
