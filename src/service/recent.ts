import type { EventView, TrendPoint } from '../http/api.js';
import type { Note } from '../pool/book.js';
import type { Millis } from '../pool/model.js';

/** What a person who looks at the pool wants of the last hours. */
export interface RecentLimits {
  readonly events: number;
  /** At most this many points, however long the service runs: older ones lie further apart. */
  readonly points: number;
  /** Between two points, milliseconds. */
  readonly pointEveryMs: Millis;
}

const usual: RecentLimits = { events: 500, points: 2_000, pointEveryMs: 10_000 };

type Counts = Omit<TrendPoint, 'at'>;

/**
 * The pool's last events and how its counts went, in memory: for the dashboard and `vmpool events`. The whole
 * history is on disk, long-term figures are Prometheus' business.
 */
export class Recent {
  private readonly notes: EventView[] = [];
  private points: { readonly at: Millis; readonly counts: Counts }[] = [];
  private lastId = 0;

  constructor(private readonly limits: RecentLimits = usual) {}

  told(note: Note): void {
    const { at, kind, detail, member, lease, job, user, decision, reason } = note;
    this.lastId += 1;
    this.notes.push({
      id: this.lastId,
      at: new Date(at).toISOString(),
      kind,
      detail,
      vm: member ?? null,
      lease: lease ?? null,
      job: job ?? null,
      user: user ?? null,
      ...(decision === undefined ? {} : { decision }),
      ...(reason === undefined ? {} : { reason }),
    });
    if (this.notes.length > this.limits.events) this.notes.shift();
  }

  /** The events after that one, oldest first. Numbers begin anew with the service: one from before gives all. */
  events(after: number): readonly EventView[] {
    return after > this.lastId ? [...this.notes] : this.notes.filter((note) => note.id > after);
  }

  /** Is it time for the next point? Counting a large pool at every change would cost more than it tells. */
  isDue(at: Millis): boolean {
    const last = this.points.at(-1);
    return last === undefined || at - last.at >= this.limits.pointEveryMs;
  }

  counted(at: Millis, { free, busy, unusable, waiting }: Counts): void {
    this.points.push({ at, counts: { free, busy, unusable, waiting } });
    if (this.points.length > this.limits.points) this.points = thinned(this.points);
  }

  trend(): readonly TrendPoint[] {
    return this.points.map(({ at, counts }) => ({ at: new Date(at).toISOString(), ...counts }));
  }
}

/** Every second point of the older half goes. */
function thinned<T>(points: readonly T[]): T[] {
  const half = Math.floor(points.length / 2);
  return points.filter((_, index) => index >= half || index % 2 === 0);
}
