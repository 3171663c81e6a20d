import { z } from 'zod';

const line = z.looseObject({
  time: z.iso.datetime({ offset: true }),
  event: z.string().optional(),
  msg: z.string().default(''),
  level: z.number(),
  vm: z.string().optional(),
  lease: z.string().optional(),
  job: z.string().optional(),
  url: z.string().optional(),
});
export type LogLine = z.infer<typeof line>;

/** A line of the service's log, or null for what is none. */
export const parseLogLine = (text: string): LogLine | null => {
  try {
    return line.parse(JSON.parse(text));
  } catch {
    return null;
  }
};

export interface JobTimes {
  /** VMs that it had, one for each start that got one. */
  readonly vms: readonly string[];
  /** From a VM's being ready to its being given back, over all starts, in milliseconds. */
  readonly onVmMs: number;
}

interface Stay {
  readonly vm: string;
  readonly readyAt: number;
  endedAt: number | null;
}

/** What the service's own log tells of each job: when its VM was ready and when it was given back. */
export class Journal {
  readonly #jobOfLease = new Map<string, string>();
  readonly #stays = new Map<string, Stay[]>();

  take(entry: LogLine): void {
    const { event, lease, job, vm } = entry;
    if (lease === undefined) return;
    if (job !== undefined) this.#jobOfLease.set(lease, job);
    const of = this.#jobOfLease.get(lease);
    if (of === undefined) return;
    const stays = this.#stays.get(of) ?? [];
    this.#stays.set(of, stays);
    const at = Date.parse(entry.time);
    if (event === 'staged' && vm !== undefined) stays.push({ vm, readyAt: at, endedAt: null });
    const last = stays.at(-1);
    if (event === 'lease-ended' && last !== undefined) last.endedAt ??= at;
  }

  times(job: string, now: number): JobTimes {
    const stays = this.#stays.get(job) ?? [];
    return {
      vms: stays.map(({ vm }) => vm),
      onVmMs: stays.reduce((sum, stay) => sum + ((stay.endedAt ?? now) - stay.readyAt), 0),
    };
  }

  /** The VM on which the job is now, or null. */
  vmOf(job: string): string | null {
    const last = this.#stays.get(job)?.at(-1);
    return last === undefined || last.endedAt !== null ? null : last.vm;
  }
}
