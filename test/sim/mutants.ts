import { Table } from '../../src/table.js';
import type { Book, EndedJob, Member, State } from '../../src/pool/book.js';
import { membersOf } from '../../src/pool/book.js';
import type { StoreFiles } from '../../src/store/files.js';
import type { PoolEvent, Stepped } from '../../src/pool/step.js';
import { step } from '../../src/pool/step.js';
import { workOf } from '../../src/pool/work.js';
import type { Core } from './service.js';
import { allFaults, storeFaults, type Fault } from './faults.js';
import { planOf } from './plans.js';
import { rules, type Invariant } from './rules.js';
import type { Plan, Told } from './story.js';
import { tell } from './story.js';

/** A core that breaks one rule: the checker is worth something only if it finds it. */
export interface Mutant {
  /** The invariant whose rules have to find it. */
  readonly invariant: Invariant;
  readonly breaks: string;
  readonly core: Core;
  /** The rare things that have to happen for it to show. */
  readonly rates?: Plan['rates'];
  /** The faults of its story; otherwise all but those of the store, which make the checker forget promises. */
  readonly faults?: readonly Fault[];
}

function after(change: (before: State, event: PoolEvent, stepped: Stepped) => Book): Core {
  return {
    workOf,
    step: (s, event, c) => {
      const stepped = step(s, event, c);
      const book = change(s, event, stepped);
      return book === stepped.state.book ? stepped : { ...stepped, state: { ...stepped.state, book } };
    },
  };
}

/** A core that does not hear that of what the cloud says. */
const deaf = (to: 'quota' | 'restMs'): Core => ({
  workOf,
  step: (s, event, c) => {
    if (to === 'quota' && event.type === 'quota') return step(s, { type: 'tick' }, c);
    return step(s, event.type === 'cloudFailed' && to === 'restMs' ? { ...event, restMs: null } : event, c);
  },
});

function withMember(book: Book, member: Member): Book {
  return { ...book, members: book.members.with(member.name, member) };
}

export const mutants: readonly Mutant[] = [
  {
    invariant: 1,
    breaks: 'gives a waiting request a VM that is Busy',
    core: after((_, event, { state: { book } }) => {
      const request = book.requests.values()[0];
      const busy = membersOf(book).find((m) => m.state.kind === 'Busy');
      if (event.type !== 'tick' || request === undefined || busy === undefined) return book;
      const lease = { request, member: busy.name, grantedAt: book.at, ready: false };
      return {
        ...book,
        requests: book.requests.without(request.id),
        leases: book.leases.with(request.id, lease),
      };
    }),
  },
  {
    invariant: 5,
    breaks: 'calls a VM Free as soon as its job has ended',
    core: after((_, event, { state: { book } }) => {
      if (event.type !== 'release') return book;
      const dirty = membersOf(book).find(
        (m) => m.state.kind === 'Unusable' && m.state.reason === 'scrubbing',
      );
      return dirty === undefined
        ? book
        : withMember(book, { ...dirty, state: { kind: 'Free', since: book.at }, tenant: null });
    }),
  },
  {
    invariant: 1,
    breaks: 'forgets on which VM an ended attempt still is',
    rates: {
      'requeued-beside': 0.5,
      'scrub-unreachable': 0.9,
      'leaves-processes': 1,
      'epilogue-late': 0,
      'guest-reboots': 0,
    },
    core: after((_, event, { state: { book } }) => {
      if (event.type !== 'ask') return book;
      const member = membersOf(book).find(
        (m) => m.state.kind === 'Unusable' && m.tenant !== null && m.tenant.job === event.ask.key.job,
      );
      return member?.tenant ? withMember(book, { ...member, tenant: { ...member.tenant, job: '' } }) : book;
    }),
  },
  {
    invariant: 4,
    breaks: 'forgets how long a request may wait',
    core: {
      workOf,
      step: (s, event, c) =>
        step(s, event.type === 'ask' ? { ...event, ask: { ...event.ask, maxWaitMs: undefined } } : event, c),
    },
  },
  {
    invariant: 2,
    breaks: 'deletes the server of a Busy VM that a listing leaves out',
    core: {
      step,
      workOf: (s, c) =>
        workOf(s, c).map((item) => {
          const member = item.kind === 'look' ? s.book.members.get(item.member) : undefined;
          return item.kind === 'look' && member?.state.kind === 'Busy' ? { ...item, kind: 'end' } : item;
        }),
    },
  },
  {
    invariant: 6,
    breaks: 'forgets the ends of attempts',
    core: after((_, __, { state: { book } }) =>
      book.ended.size === 0 ? book : { ...book, ended: Table.of<EndedJob>() },
    ),
  },
  {
    invariant: 7,
    breaks: 'serves the last in line first',
    core: after((before, event, { state: { book }, outcome }) => {
      if (event.type !== 'ask' || outcome.type !== 'ask' || outcome.outcome.kind !== 'accepted') return book;
      const { id } = outcome.outcome;
      const request = book.requests.get(id);
      if (request === undefined || before.book.requests.get(id) !== undefined) return book;
      return { ...book, requests: book.requests.with(id, { ...request, seq: -request.seq }) };
    }),
  },
  {
    invariant: 3,
    breaks: 'makes one VM more than the maximum',
    core: {
      workOf,
      step: (s, event, c) => {
        const { shape } = s.book;
        if (shape === null) return step(s, event, c);
        const stepped = step(
          { ...s, book: { ...s.book, shape: { ...shape, max: shape.max + 1 } } },
          event,
          c,
        );
        const now = event.type === 'adopt' ? event.shape : shape;
        return { ...stepped, state: { ...stepped.state, book: { ...stepped.state.book, shape: now } } };
      },
    },
  },
  {
    invariant: 8,
    breaks: 'keeps VMs in ERROR for ever',
    core: {
      workOf,
      step: (s, event, c) => step(s, event, { ...c, policy: { ...c.policy, errorLimitMs: 1e12 } }),
    },
  },
  {
    invariant: 4,
    breaks: 'ends a lease at the first listing that lacks its job',
    core: {
      workOf,
      step: (s, event, c) => {
        if (event.type !== 'sync') return step(s, event, c);
        const missing: Record<string, number> = { ...s.sight.missing };
        for (const lease of s.book.leases.values())
          if (!event.jobs.includes(lease.request.key.job)) missing[lease.request.id] ??= 0;
        return step({ ...s, sight: { ...s.sight, missing } }, event, c);
      },
    },
  },
  {
    invariant: 4,
    breaks: 'loses the lease of a VM that does not answer',
    core: after((_, event, { state: { book } }) => {
      if (event.type !== 'probed' || event.result.ok) return book;
      const member = book.members.get(event.member);
      if (member?.state.kind !== 'Busy') return book;
      return withMember(
        { ...book, leases: book.leases.without(member.state.lease) },
        {
          ...member,
          state: { kind: 'Unusable', reason: 'unreachable', since: book.at, detail: 'no answer' },
        },
      );
    }),
  },
  {
    invariant: 1,
    breaks: 'takes every marker for one of its own',
    faults: ['guest-forges-marker', 'service-crash', 'store-lost', 'store-restored'],
    rates: { 'guest-forges-marker': 0.02, 'service-crash': 0.05, 'store-lost': 0.9 },
    core: {
      workOf,
      step: (s, event, c) => {
        if (event.type !== 'probed' || !event.result.ok || event.result.marker === null)
          return step(s, event, c);
        const marker = { ...event.result.marker, authentic: true };
        return step(s, { ...event, result: { ...event.result, marker } }, c);
      },
    },
  },
  {
    invariant: 3,
    breaks: 'does not look at the quota',
    rates: { 'quota-low': 1 },
    core: deaf('quota'),
  },
  {
    invariant: 8,
    breaks: 'orders VMs from a cloud that asked for a pause',
    rates: { 'rate-limited': 0.01 },
    core: deaf('restMs'),
  },
  {
    invariant: 3,
    breaks: 'never ends servers that turn up under a retired name',
    core: { step, workOf: (s, c) => workOf(s, c).filter((item) => item.kind !== 'endStray') },
  },
  {
    invariant: 3,
    breaks: 'gives a VM that it does not know to the next job once it answers',
    faults: allFaults,
    rates: { 'store-lost': 1, 'service-crash': 0.02 },
    core: after((_, event, { state: { book } }) => {
      const member = event.type === 'probed' ? book.members.get(event.member) : undefined;
      if (member?.hold?.kind !== 'unknown') return book;
      return withMember(book, {
        ...member,
        hold: null,
        state: { kind: 'Unusable', reason: 'scrubbing', since: book.at, detail: 'never mind' },
      });
    }),
  },
  {
    invariant: 4,
    breaks: 'answers when the store is written, and not yet on the disk',
    rates: { 'power-cut': 0.05 },
    core: { step, workOf, files: withoutSync },
  },
  {
    invariant: 6,
    breaks: 'lets the late end of an earlier start end the one that lives',
    rates: { 'requeued-beside': 0.5, 'call-late': 0.3, 'call-doubled': 0.3 },
    core: {
      workOf,
      step: (s, event, c) =>
        step(
          s,
          event.type === 'release' ? { ...event, release: { ...event.release, attempt: null } } : event,
          c,
        ),
    },
  },
  {
    invariant: 8,
    breaks: 'forgets that creates have failed',
    rates: { 'no-valid-host': 1 },
    core: after((_, __, { state: { book } }) =>
      book.breaker.failures === 0
        ? book
        : { ...book, breaker: { failures: 0, lastFailureAt: 0, until: 0, why: null } },
    ),
  },
  {
    invariant: 9,
    breaks: 'decides one new VM with each event instead of all that are needed',
    core: after((before, _, { state: { book } }) => {
      const born = membersOf(book).filter((m) => before.book.members.get(m.name) === undefined);
      return born.slice(1).reduce((b, m) => ({ ...b, members: b.members.without(m.name) }), book);
    }),
  },
  {
    invariant: 9,
    breaks: 'goes by a clock that somebody sets',
    core: {
      workOf,
      step: (s, event, c) => step(s, event, event.type === 'listed' ? { ...c, now: c.now - 60_000 } : c),
    },
  },
  {
    invariant: 10,
    breaks: 'writes what a job brought into the metadata of its VM',
    core: after((before, _, { state: { book } }) => {
      const key = book.requests.values()[0]?.publicKey;
      const born = membersOf(book).find((m) => before.book.members.get(m.name) === undefined);
      if (key === undefined || born === undefined) return book;
      return withMember(book, { ...born, spec: { ...born.spec, metadata: { key } } });
    }),
  },
  {
    invariant: 10,
    breaks: 'writes what a job brought into the history',
    core: {
      workOf,
      step: (s, event, c) => {
        const stepped = step(s, event, c);
        if (event.type !== 'ask' || stepped.notes.length === 0) return stepped;
        const note = { at: c.now, kind: 'request', detail: event.ask.publicKey };
        return { ...stepped, notes: [...stepped.notes, note] };
      },
    },
  },
];

/** A file system that only says that what it was given is on the disk. */
function withoutSync(files: StoreFiles): StoreFiles {
  return {
    ...files,
    create: async (path) => ({ ...(await files.create(path)), sync: () => Promise.resolve() }),
    syncDirectory: () => Promise.resolve(),
  };
}

const tries = 40;

/** A story in which the mutant breaks a rule of its invariant; null when there is none among the first seeds. */
export async function findMutant(mutant: Mutant): Promise<Told | null> {
  const { core, rates, invariant } = mutant;
  // A lost store voids promises, and an earlier state of a stack makes the pool look for what is amiss.
  const mending: readonly Fault[] = [...storeFaults, 'state-torn'];
  const faults = mutant.faults ?? allFaults.filter((fault) => !mending.includes(fault));
  for (let seed = 1; seed <= tries; seed += 1) {
    const plan = planOf(seed);
    const short = {
      ...plan,
      faults,
      troubledSteps: Math.min(plan.troubledSteps, 1_500),
      jobs: Math.min(plan.jobs, 40),
      ...(rates === undefined ? {} : { rates }),
    };
    const told = await tell(short, core);
    if (told.violation !== null && rules[told.violation.rule] === invariant) return told;
  }
  return null;
}
