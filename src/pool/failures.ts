import type { Occurrence, Place } from './lifecycle.js';

/** Why VMs fall out of use by a fault, not by a wish of the pool or of a person. Names are kept: figures bear them. */
export const vmFailures = {
  create: 'the cloud or Pulumi could not make it',
  boot: 'it did not answer within `policy.bootLimit`',
  unfit: 'its image lacks what the contract asks for, or its host key is another',
  error: 'Nova reports ERROR, or somebody stopped, paused, shelved or rescued it',
  disturbed: "Nova is at work on it by somebody else's order",
  gone: 'Nova knows no such server any more',
  silent: 'SSH does not answer',
  rebooted: 'somebody rebooted it',
  marker: 'the marker of a job that the book did not send there is on it',
  staging: 'it could not be made ready for a job',
  dirty: 'something of a job was left after the scrub',
  scrub: 'it could not be scrubbed within `policy.scrubLimit`',
} as const satisfies Readonly<Record<string, string>>;
export type VmFailure = keyof typeof vmFailures;

const byOccurrence: Readonly<Partial<Record<Occurrence, VmFailure>>> = {
  createFailed: 'create',
  unfit: 'unfit',
  broken: 'error',
  disturbed: 'disturbed',
  absent: 'gone',
  silent: 'silent',
  rebooted: 'rebooted',
  foreignMarker: 'marker',
  unstageable: 'staging',
  dirty: 'dirty',
};

/**
 * The fault that moves a VM, null for none. What is over its time where it is for a fault already (`unreachable`,
 * `error`, `lost`) has been told of before.
 *
 * @param toGo the pool or a person wishes it gone, whatever state it is in
 */
export function failureOf(from: Place, what: Occurrence, toGo: boolean): VmFailure | null {
  if (what !== 'overdue') return byOccurrence[what] ?? null;
  if (toGo) return null;
  return from === 'building' ? 'boot' : from === 'scrubbing' ? 'scrub' : null;
}
