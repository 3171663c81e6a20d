import { Random, seedFor } from './random.js';

/** Everything that can go wrong in the simulated world, and how often (a chance for each occasion). */
export const faultRates = {
  'boot-error': 0.06,
  'boot-stuck': 0.04,
  'boot-silent': 0.04,
  'boot-unfit': 0.02,
  'no-valid-host': 0.06,
  'quota-low': 0.3,
  'create-twice': 0.01,
  'create-report-fails': 0.03,
  'cloud-down': 0.004,
  'cloud-call-fails': 0.03,
  'rate-limited': 0.004,
  'quota-misread': 0.2,
  'list-incomplete': 0.06,
  'list-lies': 0.05,
  'list-stale': 0.05,
  'list-empty': 0.02,
  'engine-killed': 0.06,
  'engine-fails': 0.03,
  'engine-event-lost': 0.1,
  'state-torn': 0.01,
  'service-crash': 0.004,
  'power-cut': 0.002,
  'commit-fails': 0.003,
  'clock-jumps': 0.003,
  'call-lost': 0.04,
  'answer-lost': 0.04,
  'call-doubled': 0.05,
  'call-late': 0.03,
  'call-overtaken': 0.03,
  'stale-hook': 0.08,
  'request-storm': 0.001,
  'qdel-in-prologue': 0.04,
  'requeued-beside': 0.04,
  'epilogue-lost': 0.04,
  'epilogue-late': 0.05,
  'same-start-again': 0.2,
  'moves-worker': 0.2,
  'worker-crash': 0.0008,
  'leaves-processes': 0.4,
  'copy-back-fails': 0.02,
  'guest-silent': 0.0015,
  'guest-reboots': 0.001,
  'guest-foreign-marker': 0.0004,
  'guest-forges-marker': 0.001,
  'scrub-dirty': 0.03,
  'scrub-unreachable': 0.05,
  'stage-refused': 0.02,
  'stage-unreachable': 0.05,
  'server-error': 0.0006,
  'server-stopped': 0.0004,
  'server-vanishes': 0.0005,
  'operator-holds': 0.002,
  'operator-retires': 0.002,
  'operator-unholds': 0.01,
  'operator-forces': 0.002,
  'operator-drains-one': 0.002,
  'operator-kills': 0.001,
  'operator-pauses': 0.001,
  'operator-drains': 0.0007,
  'shape-changes': 0.003,
  'policy-changes': 0.002,
  'store-restored': 0.3,
  'store-lost': 0.2,
  'store-rots': 0.2,
} as const;

export type Fault = keyof typeof faultRates;

export const allFaults = Object.keys(faultRates) as Fault[];

/** Losing the store voids its promises, so only some stories have it: the others check every promise. */
export const storeFaults: readonly Fault[] = ['store-lost', 'store-restored', 'store-rots'];

/** Decides whether a fault strikes. Each fault draws from a stream of its own, so that leaving one out does not shift the others. */
export class Faults {
  private readonly streams = new Map<Fault, Random>();
  private ended = false;

  constructor(
    private readonly seed: number,
    private readonly enabled: ReadonlySet<Fault>,
    private readonly rates: Partial<Record<Fault, number>>,
    private readonly onStrike: (fault: Fault) => void,
  ) {}

  /** From now on nothing goes wrong any more. */
  end(): void {
    this.ended = true;
  }

  get over(): boolean {
    return this.ended;
  }

  strikes(fault: Fault, rate: number = this.rates[fault] ?? faultRates[fault]): boolean {
    if (this.ended || !this.enabled.has(fault)) return false;
    let stream = this.streams.get(fault);
    if (stream === undefined) {
      stream = new Random(seedFor(this.seed, fault));
      this.streams.set(fault, stream);
    }
    if (!stream.chance(rate)) return false;
    this.onStrike(fault);
    return true;
  }
}
