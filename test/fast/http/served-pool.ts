import { Table } from '../../../src/table.js';
import { createHttpServer, type HttpServer } from '../../../src/http/server.js';
import type { ServiceView } from '../../../src/http/api.js';
import type { Book, Member, Note } from '../../../src/pool/book.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { countsOf } from '../../../src/pool/views.js';
import type { ClassSettings } from '../../../src/config/class-settings.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import type { ClassedPool } from '../../../src/service/classes/classed-pool.js';
import { createClassedService } from '../../../src/service/classes/service.js';
import { createPoolService } from '../../../src/service/pool-service.js';
import { summed } from '../../../src/usage/sum.js';
import type { PoolService } from '../../../src/service/port.js';
import { Recent } from '../../../src/service/recent.js';
import { httpConfig } from './harness.js';
import { ready } from '../pool/fixture.js';
import { fakeLog, FakeStore } from '../service/fake-ports.js';
import { ManualClock } from '../service/manual-clock.js';

/** The HTTP side as it is in service, on the real core: the store keeps its commits in memory, no VM is real. */
export interface ServedPool {
  readonly url: string;
  readonly port: number;
  readonly service: PoolService;
  readonly clock: ManualClock;
  readonly keeper: BookKeeper;
  readonly server: HttpServer;
  /** What its services that follow the nodes say; a test puts in what it wants. */
  readonly services: ServiceView[];
  /** Notes how many VMs are in each state now, as the service does every ten seconds. */
  readonly count: () => void;
}

/** A book with that many Free VMs, without living through the birth of each. */
function crowded(vms: number, pool?: string): Book {
  const { book } = ready(1);
  const [first] = book.members.values();
  if (first === undefined || book.shape === null) throw new Error('the pool has no VM');
  const members = Array.from({ length: vms }, (_, index): Member => {
    const name = `${pool ?? first.name}-${String(index + 1).padStart(4, '0')}` as MemberName;
    const server = first.server === null ? null : { ...first.server, id: `server-${name}` as ServerId };
    return { ...first, name, seq: index + 1, server };
  });
  return {
    ...book,
    pool: pool ?? book.pool,
    shape: { ...book.shape, min: vms, max: vms },
    members: Table.of(members.map((member) => [member.name, member] as const)),
  };
}

type PlayedPool = Pick<ServedPool, 'service' | 'keeper' | 'services' | 'count'>;

function playPool(book: Book, clock: ManualClock): PlayedPool {
  const services: ServiceView[] = [];
  const recent = new Recent();
  const context = () => ({
    ...{ now: clock.now(), suffix: () => 's', policy: defaultPolicy },
    workers: ['node1', 'node2'],
  });
  const told: Note[] = [];
  const onNotes = (notes: readonly Note[]): void => {
    told.push(...notes);
    for (const note of notes) recent.told(note);
  };
  const keeper = new BookKeeper(book, new FakeStore(), context, onNotes, fakeLog());
  const count = (): void => {
    recent.counted(clock.now(), countsOf(keeper.durable().book));
  };
  count();
  const service = createPoolService({
    ...{ keeper, context, version: '1', recent, capabilitySecret: Buffer.from('secret') },
    flavorProcessors: () => 8,
    services: () => [...services],
    consoleLog: (server) => Promise.resolve(`console of ${server}`),
    history: ({ vm, most }) =>
      Promise.resolve(told.filter(({ member }) => vm === undefined || member === vm).slice(-most)),
    usage: (wish) => summed([], wish),
    changeConfig: () =>
      Promise.resolve({
        kind: 'done',
        value: { applied: true, detail: 'adopted', changes: [], warnings: [] },
      }),
    adopt: () => Promise.resolve({ kind: 'done', value: { detail: 'adopted' } }),
  });
  return { service, keeper, services, count };
}

async function serve(
  service: PoolService,
  clock: ManualClock,
  port = 0,
): Promise<Pick<ServedPool, 'url' | 'port' | 'server'>> {
  const config = httpConfig();
  const server = createHttpServer({
    config: { ...config, listen: { ...config.listen, port } },
    ...{ service, clock, log: fakeLog() },
  });
  return { server, ...(await server.listen()) };
}

/** A pool with that many Free VMs, on a loopback port (a free one when none is named). The caller closes it. */
export async function servePool(vms: number, port = 0): Promise<ServedPool> {
  const clock = new ManualClock();
  const played = playPool(crowded(vms), clock);
  return { ...played, clock, ...(await serve(played.service, clock, port)) };
}

/** A service with a pool of that many Free VMs for each class; the first one's book-keeper. The caller closes it. */
export async function serveClasses(rules: readonly ClassSettings[], vms: number): Promise<ServedPool> {
  const clock = new ManualClock();
  const played = rules.map((rule) => playPool(crowded(vms, rule.pool), clock));
  const classes = played.map(({ service }, at): ClassedPool => ({
    rule: rules[at] as ClassSettings,
    pool: {
      service,
      metrics: () => Promise.resolve(''),
      notReady: () => null,
      flavor: () => ({ processors: 8, memory: 16 * 1024 ** 3 }),
      standing: () => ({ kind: 'free' }),
      usageLines: async function* () {
        // Nothing has been used yet.
      },
      followed: () => null,
      figures: () => ({ pool: rules[at]?.pool ?? '', figures: [] }),
      configure: () => undefined,
      stop: () => Promise.resolve(),
    },
  }));
  const service = createClassedService(classes, clock);
  const [first] = played;
  if (first === undefined) throw new Error('there is no class');
  return { ...first, service, clock, ...(await serve(service, clock)) };
}
