import type { Context, State } from '../../src/pool/book.js';
import type { Member } from '../../src/pool/book.js';
import { isUnexplained } from '../../src/pool/book.js';
import type { PoolEvent } from '../../src/pool/step.js';
import type { Checks } from './rules.js';

/**
 * A VM that a lost or restored store cannot explain stays held until its marker was read and every worker has spoken:
 * both as the world told the core in events, not as the core remembers it.
 */
export class Explanations {
  /** Per held member: whether its marker was read since, and which workers have synced since. */
  private readonly heard = new Map<string, { marker: boolean; readonly workers: Set<string> }>();

  constructor(private readonly checks: Checks) {}

  restarted(): void {
    // What was read before a restart may or may not be known after it: only the durable half is required again.
    for (const entry of this.heard.values()) entry.marker = false;
  }

  check(event: PoolEvent, before: State, after: State, c: Context): void {
    for (const member of Object.values(before.book.members)) {
      if (!isUnexplained(member) || member.state.kind !== 'Unusable' || member.state.reason !== 'held') {
        this.heard.delete(member.name);
        continue;
      }
      const entry = this.heard.get(member.name) ?? { marker: false, workers: new Set<string>() };
      this.heard.set(member.name, entry);
      if (before.sight.markers[member.name] !== undefined) entry.marker = true;
      for (const [worker, { syncedAt }] of Object.entries(after.book.workers))
        if (syncedAt > (member.hold?.at ?? 0)) entry.workers.add(worker);
      if (event.type === 'probed' && event.member === member.name && event.result.ok) entry.marker = true;
      const now = after.book.members[member.name];
      if (now !== undefined && isUnexplained(now)) continue;
      const byOrder = event.type === 'retire' && event.member === member.name;
      this.checks.must(
        'what is not explained stays',
        byOrder || isLost(now) || this.isExplained(entry, c),
        () => `${member.name} left its hold after ${event.type}, marker ${entry.marker ? '' : 'not '}read`,
      );
    }
  }

  private isExplained(
    entry: { readonly marker: boolean; readonly workers: ReadonlySet<string> },
    c: Context,
  ): boolean {
    return entry.marker && c.workers.every((worker) => entry.workers.has(worker));
  }
}

/** Nova itself says that the server is gone: there is nothing left to explain. */
function isLost(member: Member | undefined): boolean {
  return member?.state.kind === 'Unusable' && member.state.reason === 'lost';
}
