import { Turns } from '../../engine/turns.js';
import type { LeaseRequest, LeaseView } from '../../http/api.js';
import { chooseClass } from '../../pool/classes.js';
import { supersededBy } from '../../pool/leases.js';
import type { Answer, Refusal } from '../port.js';
import { offerOf, type ClassedPool } from './classed-pool.js';

const refusal = (code: Refusal['code'], detail: string): Refusal => ({ kind: 'refused', code, detail });

/**
 * Takes requests to the pool of their class. A request that a pool has already stays there, whatever the classes are by
 * now. One job's requests are taken one after the other: of two starts that ask at once for different classes, the
 * second must find what the first left.
 */
export class RequestRouter {
  private readonly turns = new Turns();

  constructor(private readonly classes: readonly ClassedPool[]) {}

  route(worker: string, body: LeaseRequest): Promise<Answer<LeaseView>> {
    return this.turns.use(body.job, () => this.inTurn(worker, body));
  }

  private async inTurn(worker: string, body: LeaseRequest): Promise<Answer<LeaseView>> {
    const { job, attempt } = body;
    const key = { worker, job, attempt };
    const standings = this.classes.map((each) => ({ each, standing: each.pool.standing(key) }));
    const home = standings.find(({ standing }) => standing.kind === 'here');
    if (home !== undefined) return home.each.pool.service.request(worker, body);
    // One that is stale anywhere is stale: it ends nothing and gets nothing.
    for (const { standing } of standings)
      if (standing.kind === 'refused' && standing.code === 'stale-attempt') return standing;

    const { processors, memory = null, features = [], queue } = body;
    const choice = chooseClass({ processors, memory, features, queue, worker }, this.classes.map(offerOf));
    if (choice.kind === 'none') return refusal('no-class-fits', choice.detail);
    if (choice.kind === 'not-known-yet') return refusal('unavailable', choice.detail);

    const chosen = this.classes.find(({ rule }) => rule.pool === choice.pool);
    if (chosen === undefined) throw new Error(`${choice.pool} is no class`);
    for (const other of this.classes) {
      if (other === chosen) continue;
      const standing = other.pool.standing(key);
      if (standing.kind === 'earlier')
        await other.pool.service.releaseById(standing.id, supersededBy(attempt));
      // Its VM has to be clean before the newer start may run elsewhere.
      const after = other.pool.standing(key);
      if (after.kind === 'refused') return after;
    }
    return chosen.pool.service.request(worker, body);
  }
}
