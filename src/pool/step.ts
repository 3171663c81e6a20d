import type { QuotaView, ServerView } from '../cloud/port.js';
import type { CellState, CellWish, EngineEvent, FoundCell } from '../engine/port.js';
import type { ProbeResult, ScrubResult, StageResult } from '../guest/port.js';
import type { Context, Note, State } from './book.js';
import { cellsFound, createDidFail, created, removed, runBegan, runEnded } from './engine-events.js';
import type { WelcomeResult } from './guest-events.js';
import { probed, rebuilt, scrubbed, welcomed } from './guest-events.js';
import type { Ask, AskOutcome, Release, ReleaseOutcome } from './leases.js';
import { ask, polled, release, releaseById, stageFailed, stageRefused, staged, sync } from './leases.js';
import type { Measured } from './measured.js';
import type { NoteSink } from './members.js';
import { checked, patchMember, withBook } from './members.js';
import type { CellName, LeaseId, MemberName, Millis, ServerId, Shape } from './model.js';
import { cloudFailed, listed, looked, strayGone } from './observe.js';
import type { OperatorOutcome } from './operator.js';
import { drain, hold, kill, pause, resume, retire, unhold } from './operator.js';
import { quotaRead, type QuotaSight } from './quota.js';
import { measuredOn } from './spent.js';
import { settle } from './settle.js';

/** Everything that can happen to the pool. */
export type PoolEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'ask'; readonly ask: Ask }
  | { readonly type: 'poll'; readonly id: string }
  | { readonly type: 'release'; readonly release: Release }
  | { readonly type: 'releaseById'; readonly id: string; readonly reason: string }
  | {
      readonly type: 'sync';
      readonly worker: string;
      readonly jobs: readonly string[];
      readonly ageMs: number;
    }
  | { readonly type: 'adopt'; readonly shape: Shape }
  | { readonly type: 'quota'; readonly quota: QuotaView; readonly flavor: QuotaSight['flavor'] }
  | { readonly type: 'adoptFailed'; readonly why: string }
  | { readonly type: 'listed'; readonly servers: readonly ServerView[]; readonly complete: boolean }
  | {
      readonly type: 'cloudFailed';
      readonly why: string;
      /** How long the cloud asked to be left alone. */
      readonly restMs?: Millis | null;
    }
  | {
      readonly type: 'looked';
      readonly member: MemberName;
      readonly id: ServerId;
      readonly view: ServerView | null;
    }
  | { readonly type: 'strayGone'; readonly id: ServerId }
  | { readonly type: 'cellsFound'; readonly cells: readonly FoundCell[] }
  | { readonly type: 'runBegan'; readonly cell: CellName }
  | { readonly type: 'engine'; readonly event: EngineEvent }
  | {
      readonly type: 'runEnded';
      readonly wish: CellWish;
      readonly result: {
        readonly ok: boolean;
        readonly state: CellState | null;
        readonly message: string | null;
      };
    }
  | { readonly type: 'welcomed'; readonly member: MemberName; readonly result: WelcomeResult }
  | { readonly type: 'probed'; readonly member: MemberName; readonly result: ProbeResult }
  | { readonly type: 'staged'; readonly lease: LeaseId; readonly result: StageResult }
  | {
      readonly type: 'scrubbed';
      readonly member: MemberName;
      readonly result: ScrubResult;
      readonly bootId: string | null;
    }
  | { readonly type: 'rebuilt'; readonly member: MemberName }
  | {
      readonly type: 'measured';
      readonly member: MemberName;
      readonly lease: LeaseId;
      readonly measured: Measured | null;
    }
  | (OperatorOrder & {
      /** Who gave the order, for the history. */
      readonly by?: string;
    });

type OperatorOrder =
  | { readonly type: 'hold'; readonly member: string; readonly why: string; readonly limitMs?: Millis | null }
  | { readonly type: 'drain' | 'kill' | 'retire'; readonly member: string; readonly why: string }
  | { readonly type: 'unhold'; readonly member: string }
  | { readonly type: 'pause'; readonly why: string; readonly forMs: Millis }
  | { readonly type: 'resume' };

export type Outcome =
  | { readonly type: 'none' }
  | { readonly type: 'ask'; readonly outcome: AskOutcome }
  | { readonly type: 'release'; readonly outcome: ReleaseOutcome }
  | { readonly type: 'sync'; readonly ended: readonly string[] }
  | { readonly type: 'operator'; readonly outcome: OperatorOutcome };

export interface Stepped {
  readonly state: State;
  readonly outcome: Outcome;
  readonly notes: readonly Note[];
}

/** A staging that did not get through within this time gives the VM up. */
const stageLimitMs = 5_000;

/**
 * One step of the pool: the event, then everything that follows from what is. The book in the result is the
 * same object when nothing durable changed; otherwise it has to be committed before the outcome is told or any
 * of its work is done.
 */
export function step(s: State, event: PoolEvent, c: Context): Stepped {
  const notes: Note[] = [];
  const note: NoteSink = (n) => notes.push(n);
  const applied = apply(s, event, c, note);
  let state = settle(applied.state, c, note);
  if (state.book !== s.book) state = withBook(state, { at: c.now });
  return { state, outcome: applied.outcome, notes };
}

function apply(s: State, event: PoolEvent, c: Context, note: NoteSink): { state: State; outcome: Outcome } {
  const plain = (state: State): { state: State; outcome: Outcome } => ({ state, outcome: { type: 'none' } });
  switch (event.type) {
    case 'tick':
      return plain(s);
    case 'ask': {
      const r = ask(s, event.ask, c, note);
      return { state: r.state, outcome: { type: 'ask', outcome: r.outcome } };
    }
    case 'poll':
      return plain(polled(s, event.id, c));
    case 'release': {
      const r = release(s, event.release, c, note);
      return { state: r.state, outcome: { type: 'release', outcome: r.outcome } };
    }
    case 'releaseById': {
      const r = releaseById(s, event.id, event.reason, c, note);
      return { state: r.state, outcome: { type: 'release', outcome: r.outcome } };
    }
    case 'sync': {
      const r = sync(s, event.worker, event.jobs, event.ageMs, c, note);
      return { state: r.state, outcome: { type: 'sync', ended: r.ended } };
    }
    case 'adopt':
      return plain(adopt(s, event.shape, c, note));
    case 'adoptFailed':
      return plain({ ...s, sight: { ...s.sight, shapeProblem: event.why } });
    case 'quota':
      return plain(quotaRead(s, event.quota, event.flavor, c));
    case 'listed':
      return plain(listed(s, event.servers, event.complete, c, note));
    case 'cloudFailed':
      return plain(cloudFailed(s, event.why, event.restMs ?? null, c));
    case 'looked':
      return plain(looked(s, event.member, event.id, event.view, c, note));
    case 'strayGone':
      return plain(strayGone(s, event.id, c, note));
    case 'cellsFound':
      return plain(cellsFound(s, event.cells));
    case 'runBegan':
      return plain(runBegan(s, event.cell, c));
    case 'engine':
      return plain(engineEvent(s, event.event, c, note));
    case 'runEnded':
      return plain(runEnded(s, event.wish, event.result, c, note));
    case 'welcomed':
      return plain(welcomed(s, event.member, event.result, c, note));
    case 'probed':
      return plain(probed(s, event.member, event.result, c, note));
    case 'staged':
      return plain(stageEnded(s, event.lease, event.result, c, note));
    case 'scrubbed':
      return plain(scrubbed(s, event.member, event.result, event.bootId, c, note));
    case 'rebuilt':
      return plain(rebuilt(s, event.member, c, note));
    case 'measured':
      return plain(measuredOn(s, event.member, event.lease, event.measured, c, note));
    case 'hold':
    case 'drain':
    case 'kill':
    case 'pause':
    case 'resume':
    case 'unhold':
    case 'retire':
      return ordered(s, event, event.by, c, note);
  }
}

/** An operator's order. The history tells who gave it, before what follows from it. */
function ordered(
  s: State,
  order: OperatorOrder,
  by: string | undefined,
  c: Context,
  note: NoteSink,
): { state: State; outcome: Outcome } {
  const notes: Note[] = [];
  const { state, outcome } = carryOut(s, order, c, (n) => notes.push(n));
  if (by !== undefined && outcome.kind === 'done') {
    const why = 'why' in order && order.why !== '' ? `: ${order.why}` : '';
    const member = 'member' in order ? { member: order.member } : {};
    note({ at: c.now, kind: 'order', ...member, by, detail: `${order.type}, ordered by ${by}${why}` });
  }
  for (const n of notes) note(n);
  return { state, outcome: { type: 'operator', outcome } };
}

function carryOut(
  s: State,
  order: OperatorOrder,
  c: Context,
  note: NoteSink,
): { state: State; outcome: OperatorOutcome } {
  switch (order.type) {
    case 'hold':
      return hold(s, order.member, order.why, order.limitMs ?? null, c, note);
    case 'drain':
      return drain(s, order.member, order.why, c, note);
    case 'kill':
      return kill(s, order.member, order.why, c, note);
    case 'pause':
      return pause(s, order.why, order.forMs, c, note);
    case 'resume':
      return resume(s, c, note);
    case 'unhold':
      return unhold(s, order.member, c, note);
    case 'retire':
      return retire(s, order.member, order.why, c, note);
  }
}

function adopt(s: State, shape: Shape, c: Context, note: NoteSink): State {
  const state: State =
    s.sight.shapeProblem === null ? s : { ...s, sight: { ...s.sight, shapeProblem: null } };
  if (JSON.stringify(state.book.shape) === JSON.stringify(shape)) return state;
  note({
    at: c.now,
    kind: 'shape',
    detail: `adopted: min ${shape.min}, max ${shape.max}, spare ${shape.spare}, generation ${shape.generation}`,
  });
  return withBook(state, { shape });
}

function engineEvent(s: State, event: EngineEvent, c: Context, note: NoteSink): State {
  switch (event.type) {
    case 'created':
      return created(s, event.member, event.serverId, c, note);
    case 'createFailed':
      return createDidFail(s, event.member, event.message, c, note);
    case 'removed':
      return removed(s, event.member);
    case 'removeFailed':
      note({
        at: c.now,
        kind: 'engine',
        member: event.member,
        detail: `could not be removed: ${event.message}`,
      });
      return s;
    case 'statePutBack':
      note({ at: c.now, kind: 'cell', detail: `${event.cell}: ${event.message}` });
      return s;
  }
}

function stageEnded(s: State, id: LeaseId, result: StageResult, c: Context, note: NoteSink): State {
  const lease = s.book.leases.get(id);
  if (lease === undefined || lease.ready) return s;
  if (result.ok) return staged(s, lease, c, note);
  switch (result.kind) {
    case 'unreachable': {
      const state = checked(s, lease.member, false, c);
      return c.now - lease.grantedAt < stageLimitMs ? state : stageFailed(state, lease, result.why, c, note);
    }
    case 'refused':
      return stageRefused(s, lease, result.why, c, note);
    case 'foreign-marker': {
      const state = patchMember(s, lease.member, {
        hold: { kind: 'foreign-marker', why: result.why, at: c.now },
      });
      return stageFailed(state, lease, result.why, c, note);
    }
  }
}
