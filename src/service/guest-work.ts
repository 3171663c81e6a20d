import { consoleHostKeys } from '../cloud/console.js';
import type { Cloud } from '../cloud/port.js';
import type { Clock } from './clock.js';
import type { Guest, GuestTarget, ProbeResult } from '../guest/port.js';
import type { WelcomeResult } from '../pool/guest-events.js';
import type { ServerId } from '../pool/model.js';

export interface GuestParts {
  readonly guest: Guest;
  readonly cloud: Cloud;
  readonly clock: Clock;
  /** Where host keys come from when none are known: the server's console log, or the first sight of them. */
  readonly hostKeyPolicy: 'console' | 'first-sight';
}

/** Lines of console log in which the host keys are looked for: a chatty boot prints some thousand. */
const consoleLines = 5_000;

/** Between two looks of the same VM's at its console: each is a call of the cloud, and a boot has many VMs waiting. */
const consoleEveryMs = 500;

/**
 * The target with its host keys, read from the console log where none are known yet. The cloud is not asked for it before
 * something listens on the VM.
 */
async function withKeys(
  parts: GuestParts,
  target: GuestTarget,
  server: ServerId | null,
  signal: AbortSignal,
): Promise<{ ok: true; target: GuestTarget } | (ProbeResult & { ok: false })> {
  if (target.hostKeys.length > 0 || parts.hostKeyPolicy === 'first-sight') return { ok: true, target };
  if (server === null) return { ok: false, step: 'host-key', why: 'its server id is not known yet' };
  const knock = await parts.guest.knock(target, signal);
  if (!knock.ok) return knock;
  const log = await parts.cloud.consoleLog(server, consoleLines, signal);
  const keys = consoleHostKeys(log);
  if (keys !== null) return { ok: true, target: { ...target, hostKeys: keys } };
  await parts.clock.sleep(consoleEveryMs, signal);
  return { ok: false, step: 'host-key', why: 'the console log shows no SSH host keys yet' };
}

/** A probe that reads the host keys from the console log first where that is needed. */
export async function probeWith(
  parts: GuestParts,
  target: GuestTarget,
  server: ServerId | null,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const known = await withKeys(parts, target, server, signal);
  if (!known.ok) return known;
  return parts.guest.probe(known.target, signal);
}

/**
 * What a new VM goes through before it is Free for the first time: SSH with a verified host key, the image's
 * contract, the baseline that every later scrub is verified against.
 */
export async function welcome(
  parts: GuestParts,
  target: GuestTarget,
  server: ServerId | null,
  signal: AbortSignal,
): Promise<WelcomeResult> {
  const known = await withKeys(parts, target, server, signal);
  if (!known.ok) return { kind: 'silent', why: `${known.step}: ${known.why}` };
  const probe = await parts.guest.probe(known.target, signal);
  if (!probe.ok) return { kind: 'silent', why: `${probe.step}: ${probe.why}` };
  if (probe.marker !== null) {
    return { kind: 'foreign-marker', why: `a new VM bears the marker of lease ${probe.marker.lease}` };
  }
  const checked: GuestTarget = { ...known.target, hostKeys: probe.hostKeys };
  const contract = await parts.guest.contract(checked, signal);
  if (!contract.ok) return { kind: 'unfit', why: `the image lacks ${contract.missing.join(', ')}` };
  const baseline = await parts.guest.takeBaseline(checked, signal);
  if (!baseline.ok) return { kind: 'silent', why: `baseline: ${baseline.why}` };
  return { kind: 'welcomed', hostKeys: probe.hostKeys, bootId: probe.bootId };
}
