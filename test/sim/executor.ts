import type { MemberName } from '../../src/pool/model.js';
import type { PoolEvent } from '../../src/pool/step.js';
import type { Work } from '../../src/pool/work.js';
import type { Agenda } from './agenda.js';
import type { SimCloud } from './cloud.js';
import type { SimEngine } from './engine.js';
import type { Faults } from './faults.js';
import { guestOf, measureGuest, probeGuest, scrubGuest, stageGuest, welcomeGuest } from './guest.js';
import type { Random } from './random.js';

/** The service for which work is carried out. */
export interface Employer {
  readonly up: boolean;
  /** Of the service as it runs now: whether it still does when that is asked. */
  life(): () => boolean;
  dispatch(event: PoolEvent, answer?: () => void): void;
  /** Nothing of it is under way any more. */
  done(item: Work): void;
}

/** Carries the work out in the simulated world, each piece in a time of its own. */
export class Executor {
  constructor(
    private readonly service: Employer,
    private readonly agenda: Agenda,
    private readonly faults: Faults,
    private readonly cloud: SimCloud,
    private readonly engine: SimEngine,
    private readonly random: Random,
    private readonly lookedAt: (server: string) => void,
  ) {}

  /** After `ms` the effect happens, and its outcome is told unless the service died meanwhile. */
  private later(item: Work, ms: number, effect: () => PoolEvent | null): void {
    const { agenda, service } = this;
    const alive = service.life();
    // Of a service that is killed, calls under way may still reach the world.
    const reachesAnyway = this.random.chance(0.5);
    agenda.after(ms, () => {
      if (!alive()) {
        if (reachesAnyway && ms < 3_000 && !service.up) effect();
        return;
      }
      const event = effect();
      const free = (): void => {
        if (alive()) service.done(item);
      };
      if (event === null) agenda.after(2_000, free);
      else service.dispatch(event, free);
    });
  }

  carryOut(item: Work): void {
    const { cloud, faults } = this;
    const quick = (): number => this.random.between(20, 1_500);
    switch (item.kind) {
      case 'welcome':
        this.later(item, quick(), () => ({
          type: 'welcomed',
          member: item.member,
          result: welcomeGuest(guestOf(cloud, item.target)),
        }));
        return;
      case 'probe':
        this.later(item, quick(), () => ({
          type: 'probed',
          member: item.member,
          result: probeGuest(guestOf(cloud, item.target), item.target.hostKeys),
        }));
        return;
      case 'stage':
        this.later(item, quick(), () => ({
          type: 'staged',
          lease: item.order.lease,
          result: stageGuest(guestOf(cloud, item.target), item.order, faults),
        }));
        return;
      case 'scrub':
        this.later(item, this.random.between(200, 4_000), () => {
          const guest = guestOf(cloud, item.target);
          const result = scrubGuest(guest, item.lease, faults);
          const bootId = result.ok && guest !== null ? `boot-${guest.boot}` : null;
          return { type: 'scrubbed', member: item.member, result, bootId };
        });
        return;
      case 'measure':
        this.later(item, quick(), () => ({
          ...{ type: 'measured', member: item.member, lease: item.lease },
          measured: measureGuest(guestOf(cloud, item.target), item.lease),
        }));
        return;
      case 'rebuild':
        this.rebuild(item);
        return;
      case 'look':
      case 'end':
        this.later(item, quick(), () => {
          const view = cloud.look(item.server);
          if (view === undefined) return null;
          this.lookedAt(item.server);
          if (view !== null && item.kind === 'end' && !cloud.delete(item.server, 'nova')) return null;
          return { type: 'looked', member: item.member, id: item.server, view };
        });
        return;
      case 'endStray':
        this.later(item, quick(), () => {
          const view = cloud.look(item.server);
          if (view === undefined) return null;
          if (view === null) return { type: 'strayGone', id: item.server };
          this.lookedAt(item.server);
          cloud.delete(item.server, 'stray');
          return null;
        });
        return;
      case 'converge':
        this.converge(item);
        return;
    }
  }

  private rebuild(item: Extract<Work, { kind: 'rebuild' }>): void {
    const { agenda, service } = this;
    const alive = service.life();
    const { member, server: id } = item;
    const ends = agenda.now + 300_000;
    const tell = (event: PoolEvent): void =>
      service.dispatch(event, () => {
        if (alive()) service.done(item);
      });
    const poll = (): void => {
      if (!alive()) return;
      const view = this.cloud.look(id);
      if (view === null || view?.status === 'ERROR') tell({ type: 'looked', member, id, view });
      else if (view?.status === 'ACTIVE') tell({ type: 'rebuilt', member });
      else if (view === undefined || agenda.now > ends) tell(unreachableScrub(member));
      else agenda.after(1_000, poll);
    };
    agenda.after(this.random.between(20, 1_500), () => {
      if (!alive()) return;
      if (this.cloud.rebuild(id)) agenda.after(1_000, poll);
      else tell(unreachableScrub(member));
    });
  }

  private converge(item: Extract<Work, { kind: 'converge' }>): void {
    const { service } = this;
    const alive = service.life();
    service.dispatch({ type: 'runBegan', cell: item.wish.cell });
    this.engine.converge(
      item.wish,
      (event) => {
        if (alive()) service.dispatch({ type: 'engine', event });
      },
      (result) => {
        if (!alive()) return;
        service.dispatch({ type: 'runEnded', wish: item.wish, result }, () => {
          if (alive()) service.done(item);
        });
      },
    );
  }
}

function unreachableScrub(member: MemberName): PoolEvent {
  return {
    type: 'scrubbed',
    member,
    bootId: null,
    result: { ok: false, kind: 'unreachable', why: 'the rebuild was refused', findings: [] },
  };
}
