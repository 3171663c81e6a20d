import type { Book, Member, Note } from '../../src/pool/book.js';
import { membersOf } from '../../src/pool/book.js';
import type { InstallationId, MemberSpec, Shape } from '../../src/pool/model.js';
import type { Policy } from '../../src/pool/policy.js';
import { defaultPolicy } from '../../src/pool/policy.js';
import type { PoolEvent, Stepped } from '../../src/pool/step.js';
import { step } from '../../src/pool/step.js';
import { workOf } from '../../src/pool/work.js';
import { Agenda } from './agenda.js';
import { SimCloud } from './cloud.js';
import { SimDisk } from './disk.js';
import { SimEngine } from './engine.js';
import type { Fault } from './faults.js';
import { Faults, storeFaults } from './faults.js';
import { Oracle } from './oracle.js';
import { Random, seedFor } from './random.js';
import { Checks, Violation, type Invariant, type Rule } from './rules.js';
import type { Core } from './service.js';
import { SimService } from './service.js';
import { Site } from './workers.js';

/** All that a story follows from: the same plan always gives the same story. */
export interface Plan {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** Steps of the core after which the faults stop. */
  readonly troubledSteps: number;
  readonly workers: number;
  readonly jobs: number;
  /** Other chances than the usual ones. */
  readonly rates?: Partial<Record<Fault, number>>;
}

export interface Told {
  readonly plan: Plan;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly violation: {
    readonly rule: Rule;
    readonly kind: string;
    readonly message: string;
    readonly stack: string;
  } | null;
  /** What happened, the newest last; only when a log was asked for. */
  readonly log: readonly string[];
  readonly strikes: Readonly<Record<string, number>>;
  /** How often each invariant was looked at. */
  readonly checks: Readonly<Partial<Record<Invariant, number>>>;
  readonly jobsDone: number;
}

export const realCore: Core = { step, workOf };

const start = 1_800_000_000_000;
const pool = 'sim';
const installation = '5d0c7b1e-7c0a-4c5f-9a57-2f1d3c4b5a69' as InstallationId;

function specOf(generation: string): MemberSpec {
  return {
    flavor: generation,
    image: 'image',
    networks: ['net0'],
    sshNetwork: 'net0',
    siteNetwork: 'net0',
    securityGroups: [],
    availabilityZones: [],
    userData: '#',
    metadata: {},
    configDrive: false,
    bootVolumeGiB: null,
    floatingIpPool: null,
    serverGroupPolicy: null,
  };
}

function shapeOf(random: Random, generation: number): Shape {
  const max = random.between(1, 7);
  const min = random.between(0, Math.min(2, max));
  const name = `g${generation}`;
  return {
    min,
    max,
    spare: random.between(0, 2),
    maxAgeMs: random.chance(0.2) ? 1_800_000 : null,
    spec: specOf(name),
    generation: name,
  };
}

function policyOf(random: Random): Policy {
  return {
    ...defaultPolicy,
    reuse: random.pick(['scrub', 'scrub', 'scrub', 'rebuild', 'never'] as const) ?? 'scrub',
    bootLimitMs: 120_000,
    unreachableLimitMs: 60_000,
    errorLimitMs: 20_000,
    scrubLimitMs: 60_000,
    heldLimitMs: random.chance(0.5) ? 600_000 : null,
    deleteFallbackMs: 60_000,
    probeEveryMs: random.pick([10_000, 60_000]) ?? 60_000,
    idleBeforeShrinkMs: random.pick([5_000, 120_000]) ?? 5_000,
    maxSurge: random.between(1, 2),
    cellSize: random.between(1, 4),
    bulkCellSize: 6,
    requestIdleLimitMs: 300_000,
    leaseLimitMs: random.chance(0.2) ? 400_000 : null,
    backoffMaxMs: 60_000,
  };
}

class World {
  readonly agenda = new Agenda(start);
  readonly log: string[] = [];
  readonly strikes: Record<string, number> = {};
  readonly faults: Faults;
  readonly cloud: SimCloud;
  readonly engine: SimEngine;
  readonly oracle: Oracle;
  readonly service: SimService;
  readonly site: Site;
  private readonly random: Random;
  readonly checks = new Checks();
  private policy: Policy;
  private generation = 1;
  private published: Shape | null = null;
  private submitted = 0;
  faultsEndedAt: number | null = null;

  constructor(
    readonly plan: Plan,
    core: Core,
    private readonly logging: boolean,
  ) {
    this.random = new Random(seedFor(plan.seed, 'story'));
    this.policy = policyOf(this.random);
    const enabled = new Set(plan.faults);
    this.faults = new Faults(plan.seed, enabled, plan.rates ?? {}, (fault) => {
      this.strikes[fault] = (this.strikes[fault] ?? 0) + 1;
      this.say(`!! ${fault}`);
    });
    this.cloud = new SimCloud(this.agenda, this.faults, plan.seed, installation, pool);
    this.engine = new SimEngine(this.agenda, this.cloud, this.faults, plan.seed, this.policy.bootLimitMs);
    this.oracle = new Oracle(this.agenda, this.cloud, core, this.checks);
    this.oracle.storeFaults = storeFaults.some((fault) => enabled.has(fault));
    const names = Array.from({ length: plan.workers }, (_, i) => `w${i + 1}`);
    this.service = new SimService(
      core,
      this.agenda,
      this.faults,
      new SimDisk(this.agenda, this.faults, plan.seed, core.files),
      this.cloud,
      this.engine,
      { installation, pool, policy: () => this.policy, workers: names, shape: () => this.published },
      {
        stepped: (b, e, a) => this.stepped(b, e, a),
        restarted: (b, forgetful) => this.restarted(b, forgetful),
        told: (notes) => this.oracle.told(notes),
        lookedAt: (server) => this.oracle.lookedAt(server),
      },
      plan.seed,
    );
    this.oracle.service = this.service;
    this.site = new Site(this.agenda, this.faults, this.cloud, this.service, this.oracle, names, plan.seed);
    this.adopt();
    for (let n = 1; n <= plan.jobs; n += 1)
      this.agenda.after(this.random.between(0, plan.jobs * 8_000), () => this.submit());
    this.everySecond();
  }

  say(text: string): void {
    if (this.logging) this.log.push(`${((this.agenda.now - start) / 1000).toFixed(3).padStart(10)}  ${text}`);
  }

  private submit(): void {
    this.submitted += 1;
    this.site.submit(this.submitted);
  }

  private restarted(book: Book, forgetful: boolean): void {
    const store = forgetful ? 'a recovered store' : 'its store';
    this.say(`service started on ${store} with ${book.members.size} members`);
    this.oracle.restarted(book, forgetful);
  }

  private stepped(before: Parameters<Oracle['stepped']>[0], event: PoolEvent, after: Stepped): void {
    if (this.logging) {
      if (!isChatter(event, after)) this.say(brief(event, after));
      for (const n of after.notes) this.say(noteLine(n));
    }
    this.oracle.stepped(before, event, after);
  }

  private adopt(): void {
    const shape = shapeOf(this.random, this.generation);
    this.cloud.setQuota(shape.max);
    this.say(`shape min ${shape.min} max ${shape.max} spare ${shape.spare} ${shape.generation}`);
    this.published = shape;
    this.service.dispatch({ type: 'adopt', shape });
  }

  private everySecond(): void {
    this.agenda.after(1_000, () => {
      this.cloud.misfortune();
      this.operators();
      if (this.faults.strikes('clock-jumps'))
        this.service.setWallClock(this.random.between(-86_400_000, 86_400_000));
      if (this.faults.strikes('request-storm'))
        for (let n = this.random.between(5, 30); n > 0; n -= 1) this.submit();
      for (const worker of this.site.workers)
        if (this.faults.strikes('worker-crash')) this.site.crash(worker);
      this.everySecond();
    });
  }

  private operators(): void {
    const { book } = this.service.state();
    const members = book.members.keys();
    const member = this.random.pick(members);
    if (member !== undefined) {
      if (this.faults.strikes('operator-holds')) {
        // Some end by themselves.
        const limitMs = this.random.chance(0.5) ? this.random.between(10_000, 400_000) : null;
        this.service.dispatch({ type: 'hold', member, why: 'to be looked at', limitMs });
        this.agenda.after(this.random.between(1_000, 200_000), () =>
          this.service.dispatch({ type: 'unhold', member }),
        );
      }
      if (this.faults.strikes('operator-drains-one'))
        this.service.dispatch({ type: 'drain', member, why: 'its host is to be mended' });
      if (this.faults.strikes('operator-kills')) {
        const state = book.members.get(member)?.state;
        if (state?.kind === 'Busy') this.oracle.forced(state.lease);
        this.service.dispatch({ type: 'kill', member, why: 'at once' });
      }
      if (this.faults.strikes('operator-unholds')) this.service.dispatch({ type: 'unhold', member });
      if (this.faults.strikes('operator-retires'))
        this.service.dispatch({ type: 'retire', member, why: 'told so' });
      if (this.faults.strikes('operator-drains'))
        for (const each of members) this.service.dispatch({ type: 'retire', member: each, why: 'drained' });
    }
    if (this.faults.strikes('operator-pauses'))
      this.service.dispatch({ type: 'pause', why: 'an audit', forMs: this.random.between(1_000, 60_000) });
    const lease = this.random.pick([...book.leases.keys(), ...book.requests.keys()]);
    if (lease !== undefined && this.faults.strikes('operator-forces')) {
      this.oracle.forced(lease);
      this.service.dispatch({ type: 'releaseById', id: lease, reason: 'ended by an operator' });
    }
    if (this.faults.strikes('shape-changes')) {
      if (this.random.chance(0.5)) this.generation += 1;
      this.adopt();
    }
    if (this.faults.strikes('policy-changes')) {
      this.policy = policyOf(this.random);
      this.say(`policy ${JSON.stringify(this.policy)}`);
    }
    if (this.faults.over) {
      // In the end somebody looks at what is held for a person.
      for (const m of membersOf(this.service.state().book)) {
        if (m.state.kind !== 'Unusable' || m.state.reason !== 'held' || m.hold === null) continue;
        if (this.service.now() - m.hold.at < 400_000) continue;
        this.service.dispatch({ type: 'unhold', member: m.name });
        if (this.isForged(m))
          this.service.dispatch({ type: 'retire', member: m.name, why: 'its marker is forged' });
        // What never answers can never be explained: somebody has to say that it may go.
        if (this.agenda.now - (this.faultsEndedAt ?? this.agenda.now) > 1_000_000)
          this.service.dispatch({ type: 'retire', member: m.name, why: 'it does not answer' });
      }
    }
  }

  /** A marker without the service's seal, and nothing runs there: what an operator is asked to look at. */
  private isForged(member: Member): boolean {
    const marker = this.service.state().sight.markers[member.name]?.marker;
    if (marker == null || marker.authentic) return false;
    const server = member.server === null ? undefined : this.cloud.servers.get(member.server.id);
    return server === undefined || server.guest.running.size === 0;
  }

  /** What is still to be done before the world is as it should be, or null. */
  unsettled(): string | null {
    const { service, site } = this;
    if (!service.up) return 'the service is down';
    const { book } = service.durable();
    const { shape } = book;
    if (shape === null) return 'no shape';
    const job = site.unfinished()[0];
    if (job !== undefined) return `job ${job.id} has not ended`;
    const request = book.requests.values()[0];
    if (request !== undefined) return `the request ${request.id} of ${request.key.job} waits`;
    const lease = book.leases.values()[0];
    if (lease !== undefined) return `the lease ${lease.request.id} of ${lease.request.key.job} lives`;
    const odd = membersOf(book).find((m) => m.state.kind !== 'Free');
    if (odd !== undefined)
      return `${odd.name} is ${odd.state.kind === 'Unusable' ? odd.state.reason : 'Busy'}`;
    const wanted = Math.max(shape.min, Math.min(shape.max, shape.spare));
    const members = membersOf(book);
    if (members.length !== wanted) return `${members.length} members instead of ${wanted}`;
    const old = members.find((m) => m.generation !== shape.generation);
    if (old !== undefined) return `${old.name} is of an old generation`;
    const known = new Set(members.map((m) => m.server?.id));
    const leak = this.cloud.live().find((s) => !known.has(s.id));
    if (leak !== undefined) return `server ${leak.id} (${leak.member}) has leaked`;
    const stray = Object.values(book.strays)[0];
    if (stray !== undefined) return `the stray ${stray.server} is still in the book`;
    const state = this.engine.instances().find((i) => !known.has(i.serverId));
    if (state !== undefined) return `${state.member} is still in its stack's state`;
    const work = [...service.underWay()].find((key) => key.startsWith('cell/'));
    if (work !== undefined) return `${work} is still converging`;
    return null;
  }
}

/** What happens all the time and changes nothing. */
function isChatter(event: PoolEvent, after: Stepped): boolean {
  switch (event.type) {
    case 'tick':
    case 'poll':
    case 'listed':
      return true;
    case 'unhold':
      return after.outcome.type === 'operator' && after.outcome.outcome.kind === 'refused';
    case 'adopt':
      return after.notes.length === 0;
    case 'probed':
      return event.result.ok && after.notes.length === 0;
    case 'sync':
      return after.outcome.type === 'sync' && after.outcome.ended.length === 0;
    default:
      return false;
  }
}

function brief(event: PoolEvent, after: Stepped): string {
  const told = after.outcome.type === 'none' ? '' : ` => ${JSON.stringify(after.outcome)}`;
  if (event.type === 'ask') {
    const { key } = event.ask;
    return `ask ${key.worker} ${key.job} start ${key.attempt.start} pid ${key.attempt.pid}${told}`;
  }
  if (event.type === 'runEnded')
    return `runEnded ${event.wish.cell} ${JSON.stringify(event.result)} wish ${event.wish.members.map((m) => m.name).join()} - ${event.wish.retire.join()}`;
  if (event.type === 'probed' && event.result.ok)
    return `probed ${event.member} marker ${event.result.marker?.lease ?? 'none'}`;
  if (event.type === 'adopt') return `adopt ${event.shape.generation}`;
  return `${JSON.stringify(event)}${told}`;
}

function noteLine(n: Note): string {
  return `    ${n.kind} ${n.member ?? ''} ${n.lease ?? ''} ${n.job ?? ''} ${n.detail}`;
}

function restless(world: World, why: string): Violation {
  const kind = why.replace(/[\w.-]*\d[\w.-]*/g, '#');
  const members = membersOf(world.service.state().book).map((m) => JSON.stringify({ ...m, spec: undefined }));
  const leaks = /^server .* has leaked|^the stray|in its stack's state$/.test(why);
  return new Violation(
    leaks ? 'no server leaks' : 'the world comes to rest',
    `${why}\n${members.join('\n')}`,
    kind,
  );
}

/** After the faults have ended the world must come to rest within this time, and what its jobs need. */
const restLimitMs = 5_400_000;

/** The next thing happens, and everything that needs no time follows from it. */
async function turn(world: World): Promise<boolean> {
  const more = world.agenda.turn();
  await new Promise(setImmediate);
  const { broken } = world.service;
  if (broken !== null) throw broken;
  return more;
}

/** Tells the story of a plan to its end, or to the first rule that does not hold. */
export async function tell(plan: Plan, core: Core = realCore, logging = false): Promise<Told> {
  const world = new World(plan, core, logging);
  let violation: Told['violation'] = null;
  try {
    while (world.service.steps < plan.troubledSteps && (await turn(world)));
    world.faults.end();
    world.faultsEndedAt = world.agenda.now;
    world.say('-- the faults end --');
    const from = world.agenda.now;
    // However small the pool: its jobs one after the other, twice.
    const limit =
      restLimitMs + 2 * world.site.unfinished().reduce((sum, job) => sum + job.durationMs + 60_000, 0);
    let looked = from;
    while (await turn(world)) {
      const { now } = world.agenda;
      if (now - looked < 5_000) continue;
      looked = now;
      const why = world.unsettled();
      if (why === null && now - from > 60_000) break;
      if (now - from > limit) throw restless(world, why ?? 'too slow');
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const rule = error instanceof Violation ? error.rule : 'the core does not throw';
    world.say(`## ${error.message}`);
    const kind = error instanceof Violation ? error.kind : '';
    violation = { rule, kind, message: error.message, stack: error.stack ?? '' };
  }
  return {
    plan,
    steps: world.service.steps,
    simulatedMs: world.agenda.now - start,
    violation,
    log: world.log,
    strikes: world.strikes,
    checks: world.checks.counts,
    jobsDone: world.site.jobs.filter((j) => j.done).length,
  };
}
