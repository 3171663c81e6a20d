import { isIPv6 } from 'node:net';

/** Addresses remembered at most; beyond it the one that failed longest ago is forgotten. */
const mostAddresses = 10_000;
const windowMs = 60_000;

/** An IPv6 client owns a /64 at least, and would otherwise have a new address for each try. */
const subjectOf = (address: string): string => {
  if (!isIPv6(address)) return address;
  if (/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address)) return address.slice(7);
  const [head = '', tail] = address.toLowerCase().split('%')[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  return `${groups.slice(0, 4).join(':')}::/64`;
};

/** Counts failed authentications by address in windows of a minute. Valid tokens are never held up by it. */
export class FailedAuthLimit {
  private readonly failures = new Map<string, { count: number; readonly since: number }>();

  constructor(
    private readonly perMinute: number,
    private readonly now: () => number,
  ) {}

  /** Counts one failure; returns seconds to wait when there were too many, else null. */
  fail(address: string): number | null {
    const subject = subjectOf(address);
    const now = this.now();
    let entry = this.failures.get(subject);
    if (entry === undefined || now - entry.since >= windowMs) entry = { count: 0, since: now };
    entry.count += 1;
    this.failures.delete(subject);
    this.failures.set(subject, entry);
    if (this.failures.size > mostAddresses) {
      const [oldest] = this.failures.keys();
      if (oldest !== undefined) this.failures.delete(oldest);
    }
    return entry.count > this.perMinute ? Math.ceil((entry.since + windowMs - now) / 1000) : null;
  }

  get size(): number {
    return this.failures.size;
  }
}
