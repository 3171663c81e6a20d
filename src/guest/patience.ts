import type { MemberName } from '../pool/model.js';
import { GuestFailure } from './failure.js';
import { limited } from './limited.js';

/** A VM gets so many times the usual limits at most. */
const most = 8;

/**
 * How long each VM is waited for. What is given up on this side goes on in the VM, so a busy or emulated one that is
 * asked again within the same limit only gets slower and never answers. Each time that one is there and does not end in
 * time doubles what it gets; each time that it does takes half of that back.
 */
export class Patience {
  readonly #factors = new Map<MemberName, number>();

  /** The limit for that VM now, `usualMs` for one that is quick. */
  limit(member: MemberName, usualMs: number): number {
    return usualMs * (this.#factors.get(member) ?? 1);
  }

  /** Runs a call within the time limit of that VM: see `limited`. */
  async call<T>(
    member: MemberName,
    what: string,
    usualMs: number,
    signal: AbortSignal,
    work: (within: AbortSignal) => Promise<T>,
    failed: (step: GuestFailure['step'], why: string) => T,
  ): Promise<T> {
    const working = async (within: AbortSignal): Promise<T> => {
      try {
        const result = await work(within);
        this.#change(member, 0.5);
        return result;
      } catch (error) {
        if (error instanceof GuestFailure && error.slow) this.#change(member, 2);
        throw error;
      }
    };
    return limited(what, this.limit(member, usualMs), signal, working, failed);
  }

  forget(member: MemberName): void {
    this.#factors.delete(member);
  }

  keepOnly(members: ReadonlySet<MemberName>): void {
    for (const member of this.#factors.keys()) if (!members.has(member)) this.forget(member);
  }

  #change(member: MemberName, by: number): void {
    const factor = Math.min(most, (this.#factors.get(member) ?? 1) * by);
    if (factor <= 1) this.#factors.delete(member);
    else this.#factors.set(member, factor);
  }
}
