import { setTimeout as sleep } from 'node:timers/promises';
import { demoUids, type DemoWorker } from '../../src/demo/worker.js';
import { Random, seedFor } from '../sim/random.js';
import type { EndEvidence, Evidence, FaultEvidence, JobEvidence } from './evidence.js';
import { playFault } from './faults/play.js';
import { endEvidence, jobEvidence, unrest } from './gather.js';
import { submitJob, type ChaosJob } from './jobs.js';
import type { Plan } from './plan.js';
import { noteIn, type ChaosSite } from './site.js';
import { isHook, Killer, type Victim } from './victims.js';
import { Witness } from './witness.js';

/** Jobs that are over count no more: so many of each worker wait or run at any time. */
const jobsOfWorker = 5;
const submitEveryMs = 400;
const operatorLooksEveryMs = 3000;
/** The first of so many that is about is killed; rare ones are waited for without holding up the others. */
const nextVictims = 6;
/** How long is looked for them before the turn of the next ones comes, milliseconds. */
const victimLimitMs = 15_000;
/** From the last kill to the end of every job. */
const jobsLimitMs = 300_000;
/** From the end of the last job until nothing is left of any. Above what the sync and the service take in turn. */
const restLimitMs = 300_000;
/** Several rounds of the workers' sync, which lets go what was held for want of the service. */
const heldForGoodMs = 45_000;

export interface Progress {
  kills: number;
  readonly byVictim: Record<string, number>;
  readonly faults: FaultEvidence[];
  /** VMs that an operator had to retire. */
  retired: number;
  submitted: number;
  over: number;
  phase: string;
}

export interface RunOptions {
  readonly seed: number;
  readonly plan: Plan;
  readonly say: (text: string) => void;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export type Seen = Omit<Evidence, 'end'> & { readonly end: Omit<EndEvidence, 'leftOnMachine'> | null };

/** One run of chaos on an open site. Resolves with what was seen, whatever it is; the site is then at its end. */
export const runChaos = async (site: ChaosSite, options: RunOptions): Promise<Seen> => {
  const began = performance.now();
  const chaos = new Chaos(site, options, () => performance.now() - began);
  try {
    return await chaos.run();
  } finally {
    await chaos.stop();
  }
};

class Chaos {
  readonly #jobs: ChaosJob[] = [];
  readonly #held = new Map<string, JobEvidence>();
  readonly #keys = new Map<string, string>();
  readonly #witness: Witness;
  readonly #killer: Killer;
  readonly #trouble: string[] = [];
  readonly #faultsRandom: Random;
  readonly #random: Random;

  constructor(
    private readonly site: ChaosSite,
    private readonly options: RunOptions,
    now: () => number,
  ) {
    const { seed } = options;
    const keyOf = (worker: string, id: string): string =>
      this.#keys.get(`${worker} ${id}`) ?? `${worker}'s ${id}`;
    this.#witness = new Witness(site.control, now, keyOf, demoUids);
    this.#random = new Random(seedFor(seed, 'kills'));
    this.#faultsRandom = new Random(seedFor(seed, 'faults'));
    this.#killer = new Killer(site, this.#witness, () => this.#open(), this.#random);
  }

  async run(): Promise<Seen> {
    const { progress, signal, say } = this.options;
    progress.phase = 'the first VM boots';
    if (!(await this.#until('the first VM is Free', jobsLimitMs, () => this.#notYetFree())))
      return this.#seen(null);
    const ending = new AbortController();
    const load = this.#submit(AbortSignal.any([ending.signal, signal]));
    const operator = this.#attend(AbortSignal.any([ending.signal, signal]));
    const faults = this.#playFaults();
    progress.phase = 'chaos';
    await this.#kill();
    await faults;
    ending.abort();
    await load;
    await operator;
    signal.throwIfAborted();
    progress.phase = 'jobs end';
    say(`chaos is over: ${String(this.#open().length)} jobs are still to end`);
    const held = new Map<string, number>();
    await this.#until('every job ended', jobsLimitMs, () => Promise.resolve(this.#notYetEnded(held)));
    await this.#deleteHeld();
    progress.phase = 'coming to rest';
    const rested = await this.#until('the site came to rest', restLimitMs, () => unrest(this.site));
    progress.phase = 'looking at the end';
    return this.#seen(rested ? await endEvidence(this.site, signal) : null);
  }

  async #notYetFree(): Promise<readonly string[]> {
    const { counts } = await this.site.client.status();
    return counts.free > 0 ? [] : ['no VM is Free'];
  }

  #seen(end: Seen['end']): Seen {
    return {
      jobs: this.#jobs.map(
        (job) => this.#held.get(job.key) ?? jobEvidence(job, this.#worker(job.worker), this.#killer.starters),
      ),
      runs: this.#witness.runs,
      faults: this.options.progress.faults,
      end,
      trouble: this.#trouble,
    };
  }

  async stop(): Promise<void> {
    await this.#witness.stop();
  }

  #worker(name: string): DemoWorker {
    const found = this.site.workers.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no worker ${name}`);
    return found.worker;
  }
  #mom(name: string): DemoWorker['mom'] {
    return this.#worker(name).mom;
  }

  /** Jobs that are not over. A job that was held waits for its release by the sync, or for the end of the run. */
  #open(): readonly ChaosJob[] {
    return this.#jobs.filter(({ worker, id }) => this.#mom(worker).state(id) !== 'complete');
  }

  async #submit(signal: AbortSignal): Promise<void> {
    const random = new Random(seedFor(this.options.seed, 'jobs'));
    const { progress } = this.options;
    while (!signal.aborted) {
      const open = this.#open();
      progress.over = this.#jobs.length - open.length;
      for (const { name, worker } of this.site.workers) {
        // The scheduler's round: jobs that were let go start again.
        worker.mom.poll();
        if (open.filter((job) => job.worker === name).length >= jobsOfWorker) continue;
        const job = submitJob(worker, name, this.#jobs.length + 1, random);
        this.#keys.set(`${name} ${job.id}`, job.key);
        this.#jobs.push(job);
        progress.submitted += 1;
      }
      await sleep(submitEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #kill(): Promise<void> {
    const { plan, progress, signal } = this.options;
    const queue: Victim[] = [...plan.kills];
    let missed = 0;
    while (queue.length > 0) {
      await sleep(200, undefined, { signal }).catch(() => undefined);
      const next = [...new Set(queue.slice(0, nextVictims))];
      // What seldom comes by is taken when it does; what is always there waits for the end of the pause.
      const killed =
        (await this.#killer.kill(next.filter(isHook), this.#random.between(0, 3300), signal)) ??
        (await this.#killer.kill(next, victimLimitMs, signal));
      if (signal.aborted) return;
      if (killed === null) {
        missed += 1;
        if (missed > plan.kills.length) {
          this.#trouble.push(
            `only ${String(progress.kills)} of ${String(plan.kills.length)} kills found a victim`,
          );
          return;
        }
        // None of them about: later.
        queue.push(...queue.splice(0, nextVictims));
        continue;
      }
      const { victim, what } = killed;
      queue.splice(queue.indexOf(victim), 1);
      progress.kills += 1;
      progress.byVictim[victim] = (progress.byVictim[victim] ?? 0) + 1;
      noteIn(this.site.place, `killed ${what}`);
    }
  }

  async #playFaults(): Promise<void> {
    const { plan, progress, signal, say } = this.options;
    for (const { fault, afterKills } of plan.faults) {
      while (progress.kills < afterKills && !signal.aborted && this.#trouble.length === 0)
        await sleep(200, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      noteIn(this.site.place, `fault: ${fault}`);
      try {
        const played = await playFault(fault, this.site, this.#faultsRandom, signal);
        progress.faults.push(played);
        const text = `${fault}: ${played.what}${played.wrong.map((wrong) => `; WRONG: ${wrong}`).join('')}`;
        noteIn(this.site.place, text);
        say(text);
      } catch (error) {
        this.#trouble.push(`the fault ${fault} could not be played: ${String(error)}`);
      }
    }
  }

  /** Without the operator a pool whose every VM was killed before its store was lost would stand still for good. */
  async #attend(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#retireDead().catch(() => undefined);
      await sleep(operatorLooksEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * The operator's part: after a restore the service asks on its status to retire VMs that answer nobody, when no job can
   * run on them any more. Of those that chaos has killed that is known.
   */
  async #retireDead(): Promise<void> {
    const { problems } = await this.site.client.status();
    for (const { name, initPid } of await this.site.control.servers()) {
      if (initPid !== null || !problems.some((text) => text.includes(`vmpool retire ${name} ends it`)))
        continue;
      await this.site.client.retire(name, 'dead: killed by chaos');
      this.options.progress.retired += 1;
      noteIn(this.site.place, `retired ${name} by hand, as the status asks`);
    }
  }

  /** A job that stays held while the service is there is held for good: it has ended, as far as chaos goes. */
  #notYetEnded(heldSince: Map<string, number>): readonly string[] {
    const now = performance.now();
    return this.#open().flatMap(({ key, id, worker }) => {
      const state = this.#mom(worker).state(id);
      if (state !== 'held' || this.site.service.pid === null) heldSince.delete(key);
      else if (!heldSince.has(key)) heldSince.set(key, now);
      const forGood = now - (heldSince.get(key) ?? now) > heldForGoodMs;
      return forGood ? [] : [`${key} is ${state}`];
    });
  }

  /** Jobs that are held for good end as an operator would end them; that they were held is on record before. */
  async #deleteHeld(): Promise<void> {
    for (const job of this.#jobs) {
      const worker = this.#worker(job.worker);
      if (worker.mom.state(job.id) !== 'held') continue;
      this.#held.set(job.key, jobEvidence(job, worker, this.#killer.starters));
      await worker.mom.qdel(job.id);
    }
  }

  /** Waits until nothing is in the way. False, and on record as trouble, when that takes too long. */
  async #until(what: string, limitMs: number, inTheWay: () => Promise<readonly string[]>): Promise<boolean> {
    const { signal, progress } = this.options;
    const end = performance.now() + limitMs;
    for (;;) {
      signal.throwIfAborted();
      for (const { worker } of this.site.workers) worker.mom.poll();
      // A service that does not answer is what is waited for.
      await this.#retireDead().catch(() => undefined);
      const left = await inTheWay().catch((error: unknown) => [String(error)]);
      progress.over = this.#jobs.length - this.#open().length;
      if (left.length === 0) return true;
      progress.phase = `${what}: ${left.slice(0, 3).join(', ')}${left.length > 3 ? ` and ${String(left.length - 3)} more` : ''}`;
      if (performance.now() > end) {
        this.#trouble.push(`not within ${String(limitMs / 1000)} s: ${what}; in the way: ${left.join('; ')}`);
        return false;
      }
      await sleep(500, undefined, { signal });
    }
  }
}
