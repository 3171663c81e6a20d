import type { Millis } from '../pool/model.js';
import { sleep } from '../sleep.js';

/** Time for everything that decides or waits. */
export interface Clock {
  /** Pool time: wall-clock milliseconds that never run backwards. */
  now(): Millis;
  /** Resolves after `ms`, or at once when the signal fires (it never rejects). */
  sleep(ms: Millis, signal: AbortSignal): Promise<void>;
}

/** The two clocks of a machine, in milliseconds: one that people set, one that only counts. */
export interface MachineClocks {
  wall(): Millis;
  monotonic(): Millis;
}

const thisMachine: MachineClocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/**
 * Pool time starts from the wall clock, but never before `notBefore` (the newest time that the book has seen),
 * and then follows the monotonic clock: a step of the wall clock shortens or lengthens no time-out.
 */
export function poolClock(notBefore: Millis, machine: MachineClocks = thisMachine): Clock {
  const anchor = Math.max(machine.wall(), notBefore);
  const started = machine.monotonic();
  return {
    now: () => Math.floor(anchor + (machine.monotonic() - started)),
    sleep,
  };
}
