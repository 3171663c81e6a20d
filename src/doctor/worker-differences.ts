import type { Book, Member } from '../pool/book.js';
import { entryAt, isUnexplained, membersOf } from '../pool/book.js';
import type { Difference, Facts } from './facts.js';
import { some } from './store-differences.js';

/** A worker's timer runs every minute: after this it is silent. Milliseconds. */
const silentAfterMs = 10 * 60_000;

/** `45 s`, `12 min`, `3 h`, `2 d`. */
const age = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${String(seconds)} s`;
  if (seconds < 7200) return `${String(Math.round(seconds / 60))} min`;
  if (seconds < 172_800) return `${String(Math.round(seconds / 3600))} h`;
  return `${String(Math.round(seconds / 86_400))} d`;
};

/** Workers, what they say of jobs, and what is held until they have spoken. */
export const workerDifferences = (facts: Facts): readonly Difference[] => {
  if (facts.book.kind !== 'read') return [];
  const { book, running } = facts.book;
  const silent = facts.workers.filter((worker) => {
    const last = entryAt(book.workers, worker)?.syncedAt;
    return last === undefined || facts.now - last > silentAfterMs;
  });
  return [
    ...(running ? silent.map((worker) => silence(worker, book, facts.now)) : []),
    ...leaseDifferences(book, silent),
    ...membersOf(book).flatMap((member) => heldDifferences(member, book, facts)),
  ];
};

const silence = (worker: string, book: Book, now: number): Difference => {
  const last = entryAt(book.workers, worker)?.syncedAt;
  const jobs = book.leases.values().filter(({ request }) => request.key.worker === worker).length;
  return {
    who: 'operator',
    about: worker,
    what: `the worker ${last === undefined ? 'has never synced' : `has not synced for ${age(now - last)}`}${jobs === 0 ? '' : `, and ${String(jobs)} of its jobs hold a VM`}`,
    next: 'its silence ends no lease, and keeps every VM held that waits to be explained. Look at its sync (vmpool hooks check on the worker); a worker that is gone for good: take its token out of the configuration',
  };
};

/** Leases whose job its worker does not list: two listings end them. A silent worker's list is no news. */
const leaseDifferences = (book: Book, silent: readonly string[]): readonly Difference[] =>
  book.leases.values().flatMap(({ request, member, grantedAt }) => {
    const { worker, job } = request.key;
    const told = entryAt(book.workers, worker);
    if (
      told === undefined ||
      silent.includes(worker) ||
      told.syncedAt <= grantedAt ||
      told.jobs.includes(job)
    )
      return [];
    return [
      {
        who: 'itself' as const,
        about: member,
        what: `it is leased to job ${job}, and ${worker} no longer has that job`,
        next: 'the lease ends with the next listing that does not name it either; then the VM is cleaned',
      },
    ];
  });

const heldDifferences = (member: Member, book: Book, facts: Facts): readonly Difference[] => {
  const { hold, name, state } = member;
  if (hold === null || (state.kind === 'Unusable' && state.reason !== 'held')) return [];
  const since = age(facts.now - hold.at);
  if (!isUnexplained(member)) {
    if (state.kind === 'Busy') return [];
    const what = `it has been held for ${since}: ${hold.why}`;
    return [
      {
        who: 'operator',
        about: name,
        what,
        next: `give it back with vmpool unhold ${name}, or end it with vmpool retire ${name}`,
      },
    ];
  }
  if (state.kind === 'Busy') return [];
  const asked = facts.workers.filter((worker) => (entryAt(book.workers, worker)?.syncedAt ?? 0) <= hold.at);
  const waits = [
    ...(asked.length === 0 ? [] : [`the sync of ${some(asked)}`]),
    ...(entryAt(facts.markers, name)?.kind === 'read' ? [] : ['its marker']),
  ];
  const marker = entryAt(facts.markers, name);
  const forged = marker?.kind === 'read' && marker.lease !== null && !marker.authentic;
  return [
    {
      who: asked.length > 0 || forged ? 'operator' : 'itself',
      about: name,
      what: `it has been held for ${since}: ${hold.why}`,
      next: forged
        ? `its marker names job ${marker.job ?? ''} and does not bear this service's seal: it stays held while that job lives, and is then retired. To end it before: vmpool retire ${name}`
        : waits.length === 0
          ? 'everything is known: the service decides within a minute'
          : `it waits for ${waits.join(' and ')}; no job on it is ended`,
    },
  ];
};
