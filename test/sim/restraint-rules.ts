import { membersOf, type State } from '../../src/pool/book.js';
import type { PoolEvent } from '../../src/pool/step.js';
import type { Checks } from './rules.js';

/** A wish for a pause counts for so long at most, and a reading of the quota for so long. */
const longestPauseMs = 600_000;
const readingHoldsMs = 300_000;

/** What the cloud has told, by which the pool orders nothing in vain: its wish for a pause, and its quota. */
export class RestraintRules {
  private restUntil = 0;
  private reading: {
    readonly at: number;
    readonly room: number;
    readonly known: ReadonlySet<string>;
  } | null = null;

  constructor(private readonly checks: Checks) {}

  /** A service that starts knows nothing of either. */
  restarted(): void {
    this.restUntil = 0;
    this.reading = null;
  }

  /** `now`: pool time. */
  stepped(before: State, event: PoolEvent, after: State, now: number): void {
    if (event.type === 'listed') this.restUntil = 0;
    if (event.type === 'cloudFailed' && typeof event.restMs === 'number')
      this.restUntil = Math.max(this.restUntil, now + Math.min(event.restMs, longestPauseMs));
    if (event.type === 'quota') {
      const { used, limit } = event.quota.instances;
      const room = limit === null ? Number.POSITIVE_INFINITY : Math.max(0, limit - used);
      this.reading = { at: now, room, known: new Set(before.book.members.keys()) };
    }
    const members = membersOf(after.book);
    const decides = members.some(
      ({ name, engine }) => engine === 'planned' && !before.book.members.has(name),
    );
    if (!decides) return;
    this.checks.must(
      'a pause that the cloud asks for is kept',
      now >= this.restUntil,
      () => `a VM was decided ${String(this.restUntil - now)} ms before the end of the pause`,
    );
    if (this.reading === null || now - this.reading.at > readingHoldsMs) return;
    const { room, known } = this.reading;
    const since = members.filter((m) => m.engine !== 'adopted' && !known.has(m.name)).length;
    this.checks.must(
      'no more than the quota known',
      since <= room,
      () => `${String(since)} VMs are new since a reading that left room for ${String(room)}`,
    );
  }
}
