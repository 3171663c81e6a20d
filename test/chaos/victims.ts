import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../sim/random.js';
import type { ChaosJob } from './jobs.js';
import type { ChaosSite, ChaosWorker } from './site.js';
import type { Witness } from './witness.js';

export const victims = [
  'service',
  'engine',
  'pulumi',
  'provider',
  'prologue',
  'job starter',
  'epilogue',
  'VM',
] as const;
export type Victim = (typeof victims)[number];

/** A process that may be killed now; `tell` is called just before it is. */
interface Target {
  readonly pid: number;
  /** A part of its command line: a number may belong to another process by now. */
  readonly shows: string;
  readonly what: string;
  readonly tell?: () => void;
}

const lookEveryMs = 5;
const lookAtAllEveryMs = 200;
/** Random time between a hook's being seen and its end, milliseconds: within its usual life. */
const hookDelayMs: Readonly<Record<'prologue' | 'job starter' | 'epilogue', number>> = {
  prologue: 150,
  'job starter': 5000,
  epilogue: 150,
};

/** Gone in a moment, or there only while a job is. */
export const isHook = (victim: Victim): victim is keyof typeof hookDelayMs => victim in hookDelayMs;

export interface Killed {
  readonly victim: Victim;
  /** For people. */
  readonly what: string;
}

/** Kills with SIGKILL what is asked for, as soon as there is one of it. */
export class Killer {
  /** `<job key>#<start>` of job starters that were killed. */
  readonly starters = new Set<string>();

  constructor(
    private readonly site: ChaosSite,
    private readonly witness: Witness,
    private readonly jobs: () => readonly ChaosJob[],
    private readonly random: Random,
  ) {}

  /** Kills one of these, whichever is there first. Null when there was none of them within the limit. */
  async kill(wanted: readonly Victim[], limitMs: number, signal: AbortSignal): Promise<Killed | null> {
    const end = performance.now() + limitMs;
    let lookedAt = -Infinity;
    while (performance.now() < end && !signal.aborted) {
      // Hooks live for less than a tenth of a second; the others are looked for in all of /proc.
      const lookAtAll = performance.now() - lookedAt > lookAtAllEveryMs;
      if (lookAtAll) lookedAt = performance.now();
      for (const victim of wanted) {
        if (!lookAtAll && !isHook(victim)) continue;
        const what = await this.#once(victim, signal);
        if (what !== null) return { victim, what };
      }
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
    return null;
  }

  async #once(victim: Victim, signal: AbortSignal): Promise<string | null> {
    switch (victim) {
      case 'service':
        return this.site.service.kill() ? 'the service' : null;
      case 'VM':
        return this.#killVm();
      case 'engine':
      case 'pulumi':
      case 'provider':
        return this.#killOne(this.#ofEngine(victim));
      case 'prologue':
      case 'job starter':
      case 'epilogue': {
        if (this.#hooks(victim).length === 0) return null;
        await sleep(this.random.between(0, hookDelayMs[victim]), undefined, { signal }).catch(
          () => undefined,
        );
        return this.#killOne(this.#hooks(victim));
      }
    }
  }

  #killOne(targets: readonly Target[]): string | null {
    const target = this.random.pick(targets);
    if (target === undefined || !textOf(`/proc/${String(target.pid)}/cmdline`).includes(target.shows))
      return null;
    target.tell?.();
    try {
      process.kill(target.pid, 'SIGKILL');
    } catch {
      return null;
    }
    return target.what;
  }

  async #killVm(): Promise<string | null> {
    const running = this.witness.servers.filter(({ initPid }) => initPid !== null);
    const busy = new Set(this.witness.runs.filter(({ doneAt }) => doneAt === null).map(({ vm }) => vm));
    const wanted = this.random.chance(0.7) ? running.filter(({ name }) => busy.has(name)) : running;
    const server = this.random.pick(wanted);
    if (server === undefined) return null;
    this.witness.vmIsKilled(server.name);
    const status = this.random.pick(['ACTIVE', 'SHUTOFF', 'ERROR'] as const) ?? 'ACTIVE';
    try {
      await this.site.control.order(server.name, { do: 'die', silent: this.random.chance(0.5), status });
    } catch {
      // It was deleted meanwhile.
      return null;
    }
    return `VM ${server.name}, which then shows ${status}`;
  }

  #hooks(victim: 'prologue' | 'job starter' | 'epilogue'): readonly Target[] {
    return this.jobs().flatMap((job) => {
      const { worker } = this.site.workers.find(({ name }) => name === job.worker) as ChaosWorker;
      const { mom } = worker;
      const start = mom.starts(job.id).at(-1);
      const what = `the ${victim} of job ${job.key}`;
      switch (victim) {
        case 'prologue':
          return start !== undefined && start.prologue > 0 && start.result === null && !start.over
            ? [{ pid: start.prologue, shows: 'mom_priv/prologue', what }]
            : [];
        case 'job starter': {
          if (start === undefined || !start.running || start.over) return [];
          const tell = (): void => void this.starters.add(`${job.key}#${String(start.count)}`);
          return [{ pid: start.starter, shows: 'jobstarter', what, tell }];
        }
        case 'epilogue': {
          const run = mom.epilogues(job.id).at(-1);
          return run !== undefined && run.code === null && run.pid > 0
            ? [{ pid: run.pid, shows: 'mom_priv/epilogue', what }]
            : [];
        }
      }
    });
  }

  #ofEngine(victim: 'engine' | 'pulumi' | 'provider'): readonly Target[] {
    const passphrase = `PULUMI_CONFIG_PASSPHRASE_FILE=${this.site.place.directory}/`;
    return readdirSync('/proc').flatMap((pid): Target[] => {
      if (!/^\d+$/.test(pid)) return [];
      const environ = textOf(`/proc/${pid}/environ`);
      if (!environ.includes('VMPOOL_ENGINE_MARK=') || !environ.includes(passphrase)) return [];
      const args = textOf(`/proc/${pid}/cmdline`).split('\0');
      const program = basename(args[0] ?? '');
      const kind = args[1]?.endsWith('engine/process.js')
        ? 'engine'
        : program === 'pulumi'
          ? 'pulumi'
          : program.startsWith('pulumi-resource-')
            ? 'provider'
            : null;
      if (kind !== victim) return [];
      const what =
        kind === 'pulumi' ? `pulumi ${args[1] ?? ''}` : kind === 'engine' ? 'the engine process' : program;
      return [{ pid: Number(pid), shows: args[0] ?? '', what }];
    });
  }
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
