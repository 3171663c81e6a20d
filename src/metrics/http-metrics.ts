import { Counter, Registry } from 'prom-client';
import type { ProblemCode } from '../http/api.js';

/** Why a request for a VM may be refused that is well-formed and comes with a worker's token. */
const leaseRefusals: readonly ProblemCode[] = [
  'stale-attempt',
  'rival-attempt',
  'unsatisfiable',
  'no-class-fits',
  'unavailable',
];
/** The route by which workers ask for VMs. */
export const leaseRoute = 'POST /v1/leases';

/** The figures of the HTTP side. They belong to no pool: who is refused has often reached none. */
export class HttpMetrics {
  readonly registry = new Registry();

  private readonly refusals = new Counter({
    name: 'vmpool_http_refusals_total',
    help: 'Requests that were answered with a problem: reason is its code, route is empty where there is none.',
    labelNames: ['route', 'reason'],
    registers: [this.registry],
  });

  constructor() {
    // So that an alert sees the first one of them, too.
    for (const reason of leaseRefusals) this.refusals.inc({ route: leaseRoute, reason }, 0);
  }

  /** @param route method and path of the route table, not what was asked for: anybody can ask for anything */
  refused(route: string, reason: ProblemCode): void {
    this.refusals.inc({ route, reason });
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}
