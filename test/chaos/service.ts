import { setTimeout as sleep } from 'node:timers/promises';
import { Journal } from '../../src/demo/journal.js';
import type { OwnedProcess } from '../../src/demo/owned-process.js';
import { startService } from '../../src/demo/parts.js';
import type { Place } from '../../src/demo/place.js';

/** As systemd's RestartSec would have it, milliseconds. */
const restartAfterMs = 500;

/** `vmpool serve` as an init system would keep it: started again whenever it ends, unless it is told to stay down. */
export class KeptService {
  readonly #journal = new Journal();
  #running: OwnedProcess | null = null;
  /** Starting, running or ending. */
  #active = false;
  #wanted = true;
  #stopped = false;
  #starts = 0;
  #refusals: string[] = [];
  readonly #loop: Promise<void>;
  #change: () => void = () => undefined;

  constructor(
    private readonly place: Place,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    this.#loop = this.#keep();
  }

  /** Null while it is down or starts. */
  get pid(): number | null {
    return this.#running === null || this.#running.how !== null ? null : this.#running.pid;
  }
  /** How often it was ready. */
  get starts(): number {
    return this.#starts;
  }
  /** What it said when it did not start, oldest first. */
  get refusals(): readonly string[] {
    return this.#refusals;
  }

  /** SIGKILL. False when it is not running. */
  kill(): boolean {
    const { pid } = this;
    if (pid === null) return false;
    process.kill(pid, 'SIGKILL');
    return true;
  }

  /** Kills it and lets nobody start it. Resolves when it is gone. */
  async keepDown(): Promise<void> {
    this.#wanted = false;
    this.kill();
    // Also one that is just starting: it may have read its book already.
    while (this.#active) await sleep(20);
  }
  letUp(): void {
    this.#wanted = true;
    this.#change();
  }

  /** Resolves when it is ready, or false after that long. */
  async ready(limitMs: number): Promise<boolean> {
    const end = performance.now() + limitMs;
    while (this.pid === null && performance.now() < end) await sleep(50);
    return this.pid !== null;
  }

  /** SIGTERM, for good. Resolves with how it ended, `not running` when it was down. */
  async stop(): Promise<string> {
    this.#stopped = true;
    this.#change();
    const running = this.#running;
    const how = running === null ? 'not running' : await running.stop();
    await this.#loop;
    return how;
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      if (this.#wanted) await this.#once();
      if (this.#stopped) return;
      const changed = new Promise<void>((resolve) => (this.#change = resolve));
      await Promise.race([changed, sleep(restartAfterMs)]);
    }
  }

  async #once(): Promise<void> {
    this.#active = true;
    try {
      const { process: started } = await startService(this.place, this.#journal, this.env);
      this.#running = started;
      this.#starts += 1;
      if (this.#stopped) await started.stop();
      else if (!this.#wanted) process.kill(started.pid, 'SIGKILL');
      await started.mustLive().catch(() => undefined);
    } catch (error) {
      this.#refusals.push(error instanceof Error ? error.message : String(error));
    } finally {
      this.#running = null;
      this.#active = false;
    }
  }
}
