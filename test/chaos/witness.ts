import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { CloudControl, ServerSummary } from '../../src/embedded/control.js';
import type { RunEvidence } from './evidence.js';

const markerFile = 'etc/vmpool/lease.json';
const marker = z.looseObject({
  key: z.looseObject({
    worker: z.string(),
    job: z.string(),
    attempt: z.looseObject({ start: z.number() }),
  }),
});

const lookEveryMs = 60;
const serversEveryMs = 400;

type Run = { -readonly [K in keyof RunEvidence]: RunEvidence[K] };

/**
 * Stands outside the VMs and puts every execution of a job on record before its work begins. It looks into the VMs'
 * /tmp through the process ids of their inits, and answers a job by writing into the job's own file: a file that the
 * scrub has removed is never made again.
 */
export class Witness {
  readonly #runs = new Map<string, Run>();
  readonly #killed = new Set<string>();
  readonly #stopped = new AbortController();
  readonly #done: Promise<void>;
  #servers: readonly ServerSummary[] = [];
  #askedAt = -Infinity;

  constructor(
    private readonly control: CloudControl,
    private readonly now: () => number,
    /** The key of a job by worker and Torque's id. */
    private readonly keyOf: (worker: string, id: string) => string,
    private readonly uids: readonly number[],
  ) {
    this.#done = this.#loop();
  }

  get runs(): readonly RunEvidence[] {
    return [...this.#runs.values()];
  }

  /** Servers as the cloud had them a moment ago. */
  get servers(): readonly ServerSummary[] {
    return this.#servers;
  }

  /** Chaos is about to end that VM: whose work is under way on it is not the product's to answer for. */
  vmIsKilled(vm: string): void {
    this.#killed.add(vm);
    for (const run of this.#runs.values()) if (run.vm === vm && run.doneAt === null) run.vmKilled = true;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#done;
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      if (this.now() - this.#askedAt > serversEveryMs) {
        this.#askedAt = this.now();
        // A cloud that does not answer at this moment is asked again; its servers are looked into all the same.
        this.#servers = await this.control.servers().catch(() => this.#servers);
      }
      for (const server of this.#servers) this.#look(server);
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #look({ name, initPid }: ServerSummary): void {
    if (initPid === null) return;
    const root = `/proc/${String(initPid)}/root`;
    for (const file of listing(`${root}/tmp`)) {
      const nonce = /^chaos-([0-9a-f-]{36})$/.exec(file)?.[1];
      if (nonce === undefined) continue;
      const path = `${root}/tmp/${file}`;
      const [, what, key] = /^(begin|done) (\S+)\n$/.exec(textOf(path)) ?? [];
      if (what === 'begin' && key !== undefined) this.#begin(key, nonce, name, root);
      if (what === 'done') this.#finish(nonce);
      if (what !== undefined) answer(path, `yes ${what}\n`);
    }
  }

  #begin(key: string, nonce: string, vm: string, root: string): void {
    if (this.#runs.has(nonce)) return;
    const alive = this.#alive();
    const besides = this.runs
      .filter((run) => alive.has(run.nonce) && (run.key === key || run.vm === vm))
      .map((run) => ({ key: run.key, nonce: run.nonce, vm: run.vm }));
    const lessee = this.#lessee(root);
    const vmKilled = this.#killed.has(vm);
    this.#runs.set(nonce, { key, nonce, vm, lessee, beganAt: this.now(), doneAt: null, vmKilled, besides });
  }

  #finish(nonce: string): void {
    const run = this.#runs.get(nonce);
    if (run !== undefined) run.doneAt ??= this.now();
  }

  #lessee(root: string): RunEvidence['lessee'] {
    const text = textOf(`${root}/${markerFile}`);
    let found: z.infer<typeof marker>;
    try {
      found = marker.parse(JSON.parse(text));
    } catch {
      return null;
    }
    const { worker, job, attempt } = found.key;
    return { key: this.keyOf(worker, job), start: attempt.start };
  }

  /** Executions of which a process lives, on whatever VM. */
  #alive(): ReadonlySet<string> {
    const found = new Set<string>();
    for (const pid of listing('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const uid = /^Uid:\t(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1];
      if (uid === undefined || !this.uids.includes(Number(uid))) continue;
      const nonce = /(?:^|\0)CHAOS_RUN=([^\0]+)/.exec(textOf(`/proc/${pid}/environ`))?.[1];
      if (nonce !== undefined) found.add(nonce);
    }
    return found;
  }
}

/** What is gone while it is looked at has nothing to say. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
const listing = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};
const answer = (path: string, text: string): void => {
  let file: number;
  try {
    file = openSync(path, 'r+');
  } catch {
    return;
  }
  try {
    ftruncateSync(file, 0);
    writeSync(file, text, 0);
  } catch {
    // Its disk is gone with its VM.
  } finally {
    closeSync(file);
  }
};
