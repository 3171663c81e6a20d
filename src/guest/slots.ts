import { GuestFailure } from './failure.js';

/** At most `limit` pieces of work at once; the rest waits in line, first come, first served. */
export class Slots {
  #free: number;
  readonly #line: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Rejects with `GuestFailure` when the signal fires before the turn has come; the work then never runs. */
  async use<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const take = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        const place = this.#line.indexOf(take);
        if (place >= 0) this.#line.splice(place, 1);
        reject(new GuestFailure('tcp', 'the call was given up while waiting for its turn'));
      };
      if (signal?.aborted) return leave();
      signal?.addEventListener('abort', leave, { once: true });
      this.#line.push(take);
    });
  }
}
