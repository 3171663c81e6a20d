import type { Clock } from '../../../src/service/clock.js';
import { epoch } from '../pool/fixture.js';

/** A clock that the test moves: whoever sleeps wakes when its time has come. */
export class ManualClock implements Clock {
  private readonly sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();

  constructor(private at = epoch) {}

  now(): number {
    return this.at;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = {
        until: this.at + ms,
        wake: (): void => {
          this.sleepers.delete(sleeper);
          signal.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.sleepers.add(sleeper);
      signal.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  /** How long those who sleep now still will, shortest first. */
  get naps(): readonly number[] {
    return [...this.sleepers].map(({ until }) => until - this.at).sort((a, b) => a - b);
  }

  async advance(ms: number): Promise<void> {
    this.at += ms;
    for (const sleeper of [...this.sleepers]) if (sleeper.until <= this.at) sleeper.wake();
    await calm();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets everything happen that needs no time. */
export async function calm(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await turn();
}

/** Moves the clock in small steps until something holds. */
export async function until(clock: ManualClock, what: string, holds: () => boolean): Promise<void> {
  await calm();
  for (let step = 0; step < 2_000 && !holds(); step += 1) await clock.advance(100);
  if (!holds()) throw new Error(`never came true: ${what}`);
}

/** A promise that the test settles. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
