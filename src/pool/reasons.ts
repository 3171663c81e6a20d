import type { Occurrence } from './lifecycle.js';

/**
 * What the pool decides of its VMs, and why: every such decision is one line of history that bears both words. The
 * reasons are told in words in `docs/reference/states.md`.
 */
export interface Reasons {
  /** A VM is to be had. */
  readonly made: 'request' | 'minimum' | 'spare' | 'roll' | 'found';
  /** A VM is a job's. */
  readonly leased: 'first-in-line' | 'marker';
  /** A VM is to be cleaned, or rebuilt, before its next job. */
  readonly scrubbed: 'released' | 'answered' | 'rebooted' | 'unheld';
  /** A VM, or a server that goes by the name of one, is to be deleted. */
  readonly ended:
    | 'idle'
    | 'above-maximum'
    | 'outdated'
    | 'retired'
    | 'killed'
    | 'limit'
    | 'create-failed'
    | 'dirty'
    | 'not-reused'
    | 'gone'
    | 'explained'
    | 'never-booted'
    | 'stray'
    | 'resurfaced';
}

export type Decision = keyof Reasons;
export const decisions: readonly Decision[] = ['made', 'leased', 'scrubbed', 'ended'];
export type EndedFor = Reasons['ended'];

/** One decision as a line of history has it, and a VM of the book the one that made it. */
export interface Decided<D extends Decision = Decision> {
  readonly decision: D;
  readonly reason: Reasons[D];
}

/** Why a VM is made, with what its history and `vmpool vm show` say of it. */
export interface MadeFor {
  readonly reason: Reasons['made'];
  readonly detail: string;
}

export function decided<D extends Decision>(decision: D, reason: Reasons[D]): Decided<D> {
  return { decision, reason };
}

/** What sends a VM to the scrub. */
const scrubs: Readonly<Partial<Record<Occurrence, Reasons['scrubbed']>>> = {
  released: 'released',
  answered: 'answered',
  rebooted: 'rebooted',
  unheld: 'unheld',
};

const ends: Readonly<Partial<Record<Occurrence, EndedFor>>> = {
  createFailed: 'create-failed',
  dirty: 'dirty',
  overdue: 'limit',
};

/** The decision in a move of a VM, if it is one. `ended` says more than the occurrence does. */
export function decisionOf(to: string, what: Occurrence, ended: EndedFor | null): Partial<Decided> {
  const scrub = scrubs[what];
  if (to === 'scrubbing' && scrub !== undefined) return decided('scrubbed', scrub);
  const end = ended ?? ends[what];
  return to === 'deleting' && end !== undefined ? decided('ended', end) : {};
}
