import type { Context, State } from '../../src/pool/book.js';
import type { Member } from '../../src/pool/book.js';
import { isUnexplained } from '../../src/pool/book.js';
import type { PoolEvent } from '../../src/pool/step.js';
import type { Checks } from './rules.js';

interface Heard {
  marker: boolean;
  readonly workers: Set<string>;
  /** When a look by id last showed its server in BUILD; null when the last one did not. */
  inBuildAt: number | null;
}

/**
 * A VM that a lost or restored store cannot explain stays held until its marker was read and every worker has spoken:
 * both as the world told the core in events, not as the core remembers it. In the place of the marker stands a look by
 * id that shows the server still in BUILD after its time: no job can have been there.
 */
export class Explanations {
  /** Per held member: whether its marker was read since, and which workers have synced since. */
  private readonly heard = new Map<string, Heard>();

  constructor(private readonly checks: Checks) {}

  restarted(): void {
    // What was read before a restart may or may not be known after it: only the durable half is required again.
    for (const entry of this.heard.values()) {
      entry.marker = false;
      entry.inBuildAt = null;
    }
  }

  check(event: PoolEvent, before: State, after: State, c: Context): void {
    for (const member of before.book.members.values()) {
      if (!isUnexplained(member) || member.state.kind !== 'Unusable' || member.state.reason !== 'held') {
        this.heard.delete(member.name);
        continue;
      }
      const entry = this.heard.get(member.name) ?? {
        marker: false,
        workers: new Set<string>(),
        inBuildAt: null,
      };
      this.heard.set(member.name, entry);
      if (before.sight.markers[member.name] !== undefined) entry.marker = true;
      for (const [worker, { syncedAt }] of Object.entries(after.book.workers))
        if (syncedAt > (member.hold?.at ?? 0)) entry.workers.add(worker);
      if (event.type === 'probed' && event.member === member.name && event.result.ok) entry.marker = true;
      if (event.type === 'looked' && event.member === member.name)
        entry.inBuildAt = event.view?.status === 'BUILD' ? c.now : null;
      const now = after.book.members.get(member.name);
      if (now !== undefined && isUnexplained(now)) continue;
      const byOrder = (event.type === 'retire' || event.type === 'kill') && event.member === member.name;
      this.checks.must(
        'what is not explained stays',
        byOrder || isLost(now) || this.isExplained(entry, member, c),
        () => `${member.name} left its hold after ${event.type}, marker ${entry.marker ? '' : 'not '}read`,
      );
    }
  }

  private isExplained(entry: Heard, member: Member, c: Context): boolean {
    const heldFor = entry.inBuildAt === null ? 0 : entry.inBuildAt - (member.hold?.at ?? c.now);
    const neverWas = heldFor > c.policy.bootLimitMs && c.now - (entry.inBuildAt ?? 0) <= 2_000;
    return (entry.marker || neverWas) && c.workers.every((worker) => entry.workers.has(worker));
  }
}

/** Nova itself says that the server is gone: there is nothing left to explain. */
function isLost(member: Member | undefined): boolean {
  return member?.state.kind === 'Unusable' && member.state.reason === 'lost';
}
