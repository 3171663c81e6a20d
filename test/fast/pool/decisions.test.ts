import { describe, expect, it } from '@jest/globals';
import type { Note } from '../../../src/pool/book.js';
import type { MemberName, ServerId } from '../../../src/pool/model.js';
import { wishOf } from '../../../src/pool/planner.js';
import { decisions, type Decision, type Reasons } from '../../../src/pool/reasons.js';
import { decisionReasons } from '../../../src/reference/states.js';
import { attempt, keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

const minute = 60_000;

function worked(pool: Pool): MemberName {
  pool.stage(pool.ask(keyOf('1')));
  const { name } = pool.member();
  pool.release(keyOf('1'));
  return name;
}

/** A pool that its book knows nothing of: one of its servers is listed. */
function found(status = 'ACTIVE'): Pool {
  const pool = new Pool(shapeOf({ max: 2 }));
  pool.event({
    type: 'listed',
    servers: [viewOf('p-0007-abcd', 's7', { status })],
    complete: true,
  });
  return pool;
}

/** For each reason what brings it about, and what its line says. */
const stories: {
  readonly [D in Decision]: Readonly<Record<Reasons[D], readonly [bring: () => Pool, says: RegExp]>>;
} = {
  made: {
    request: [
      () => {
        const pool = new Pool();
        pool.ask(keyOf('28.server'));
        return pool;
      },
      /^decided: job 28\.server waits for a VM; cell c001, generation g1$/,
    ],
    minimum: [
      () => {
        const pool = ready(2);
        pool.event({ type: 'hold', member: pool.member().name, why: 'look' });
        return pool;
      },
      /^decided: the pool's minimum is 2, and it has 1; not counted: p-0001-s1 \(held\); cell/,
    ],
    spare: [
      () => new Pool(shapeOf({ min: 1, spare: 2 })),
      /^decided: the pool keeps 2 Free beyond demand; cell/,
    ],
    roll: [
      () => {
        const pool = ready(1);
        pool.adopt(shapeOf({ min: 1, generation: 'g2' }));
        return pool;
      },
      /^decided: takes the place of p-0001-s1: the pool's spec has changed \(g1 -> g2\); cell c001, generation g2$/,
    ],
    found: [found, /^held: a server of ours that the store does not know/],
  },
  leased: {
    'first-in-line': [
      () => {
        const pool = ready(1);
        pool.ask(keyOf('1'));
        return pool;
      },
      /^granted after 0 ms: first in line$/,
    ],
    marker: [
      () => {
        const pool = found();
        pool.pass(1_000).probe('p-0007-abcd' as MemberName, keyOf('5'));
        pool.sync(['5']);
        return pool;
      },
      /^restored from the marker on the VM$/,
    ],
  },
  scrubbed: {
    released: [
      () => {
        const pool = ready(1);
        worked(pool);
        return pool;
      },
      /^Busy -> scrubbing: job 1 ended: done$/,
    ],
    answered: [
      () => {
        const pool = ready(1);
        const { name } = pool.member();
        pool.silence(name);
        pool.silence(name);
        pool.probe(name);
        return pool;
      },
      /^unreachable -> scrubbing: it answers again$/,
    ],
    rebooted: [
      () => {
        const pool = ready(1);
        pool.probe(pool.member().name, null, 'another boot');
        return pool;
      },
      /^Free -> scrubbing: it was rebooted$/,
    ],
    unheld: [
      () => {
        const pool = ready(1);
        const member = pool.member().name;
        pool.event({ type: 'hold', member, why: 'look' });
        pool.event({ type: 'unhold', member });
        return pool;
      },
      /^held -> scrubbing: given back by an operator$/,
    ],
  },
  ended: {
    idle: [
      () => {
        const pool = ready(2);
        pool.adopt(shapeOf({ min: 1 }));
        return pool.pass(6 * minute);
      },
      /^Free -> deleting: idle and not needed$/,
    ],
    'above-maximum': [
      () => {
        const pool = ready(2);
        pool.adopt(shapeOf({ min: 1, max: 1 }));
        return pool;
      },
      /^Free -> deleting: the pool's maximum is 1$/,
    ],
    outdated: [
      () => {
        const pool = ready(1, { max: 1 });
        pool.adopt(shapeOf({ min: 1, max: 1, generation: 'g2' }));
        return pool;
      },
      /^Free -> deleting: the pool's spec has changed \(g1 -> g2\)$/,
    ],
    retired: [
      () => {
        const pool = ready(1);
        pool.ask(keyOf('1'));
        const { name } = pool.member();
        pool.event({ type: 'retire', member: name, why: 'odd disk' });
        pool.release(keyOf('1'));
        pool.scrub(name);
        return pool;
      },
      /^scrubbing -> deleting: odd disk$/,
    ],
    killed: [
      () => {
        const pool = ready(1);
        pool.ask(keyOf('1'));
        pool.event({ type: 'kill', member: pool.member().name, why: 'mines coins' });
        return pool;
      },
      /^scrubbing -> deleting: mines coins$/,
    ],
    limit: [
      () => {
        const pool = ready(1);
        worked(pool);
        // Two steps: what was not seen for longer than a limit is looked at again first.
        for (let at = 0; at < 7; at += 1) {
          pool.list();
          pool.pass(minute);
        }
        return pool;
      },
      /^scrubbing -> deleting: scrubbing for longer than 300 s/,
    ],
    'create-failed': [
      () => {
        const pool = new Pool(shapeOf({ min: 1 }));
        const { name, cell } = pool.member();
        pool.event({ type: 'engine', event: { type: 'createFailed', cell, member: name, message: 'quota' } });
        return pool;
      },
      /^building -> deleting: could not be created: quota$/,
    ],
    dirty: [
      () => {
        const pool = ready(1);
        const member = worked(pool);
        const result = { ok: false, kind: 'dirty', why: 'files', findings: ['/tmp/x'] } as const;
        pool.event({ type: 'scrubbed', member, result, bootId: null });
        return pool;
      },
      /^scrubbing -> deleting: not clean after the scrub: files: \/tmp\/x$/,
    ],
    'not-reused': [
      () => {
        const pool = ready(1, {}, { reuse: 'never' });
        worked(pool);
        return pool;
      },
      /^Busy -> deleting: job 1 ended: done; VMs are not reused here$/,
    ],
    gone: [
      () => {
        const pool = ready(1);
        const { name } = pool.member();
        pool.look(name, null);
        pool.look(name, null);
        return pool;
      },
      /^lost -> deleting: its server is gone$/,
    ],
    explained: [
      () => {
        const pool = found();
        pool.pass(1_000).probe('p-0007-abcd' as MemberName);
        pool.sync([]);
        return pool;
      },
      /^held -> deleting: unknown VM explained: no job is on it; it is not used again$/,
    ],
    'never-booted': [
      () => {
        const pool = found('BUILD');
        pool.pass(1_000).sync([]);
        for (let at = 0; at < 15; at += 1) {
          pool.event({
            type: 'listed',
            servers: [viewOf('p-0007-abcd', 's7', { status: 'BUILD' })],
            complete: true,
          });
          pool.look('p-0007-abcd' as MemberName, viewOf('p-0007-abcd', 's7', { status: 'BUILD' }));
          pool.pass(minute);
        }
        pool.look('p-0007-abcd' as MemberName, viewOf('p-0007-abcd', 's7', { status: 'BUILD' }));
        return pool;
      },
      /^held -> deleting: .* in BUILD for longer than 600 s and never answered/,
    ],
    stray: [
      () => {
        const pool = ready(1);
        const { name, server } = pool.member();
        pool.event({
          type: 'listed',
          servers: [viewOf(name, server?.id ?? ''), viewOf(name, 'twin')],
          complete: true,
        });
        pool.event({ type: 'strayGone', id: 'twin' as ServerId });
        return pool;
      },
      /^server twin is gone, deleted because by its stack the VM of that name is server s-p-0001-s1$/,
    ],
    resurfaced: [
      () => {
        const pool = ready(1);
        const { name, cell } = pool.member();
        const server = pool.member().server?.id ?? ('' as ServerId);
        pool.event({ type: 'retire', member: name, why: 'told so' });
        pool.end();
        const instances = [{ member: name, serverId: server, addresses: {} }];
        pool.runEnded(wishOf(pool.state, cell), { instances, lostCreates: [], unlisted: [] });
        return pool;
      },
      /^c001 holds it again, although it was ended: it is dropped once more$/,
    ],
  },
};

const all = decisions.flatMap((decision) =>
  Object.entries(stories[decision]).map(
    ([reason, [bring, says]]) => [decision, reason, bring, says] as const,
  ),
);

const toldOf = (pool: Pool, decision: Decision, reason: string): Note[] =>
  pool.notes.filter((note) => note.decision === decision && note.reason === reason);

describe('every decision that made, leased, scrubbed or ended a VM', () => {
  it.each(all)('%s: %s', (decision, reason, bring, says) => {
    const pool = bring();
    const notes = toldOf(pool, decision, reason);
    expect(notes.map(({ detail }) => detail)).toContainEqual(expect.stringMatching(says));
    expect(notes.every(({ member }) => member !== undefined && member !== '')).toBe(true);
  });

  it('has no reason that is not explained, and none is explained that there is not', () => {
    const words = (of: typeof stories | typeof decisionReasons) =>
      decisions.map((decision) => [decision, Object.keys(of[decision]).sort()]);
    expect(words(stories)).toEqual(words(decisionReasons));
  });
});

describe('what a VM is made for', () => {
  it('the line first, then the minimum, then the spare ones, each VM for one of them', () => {
    const pool = new Pool(shapeOf({ min: 0, max: 0 }));
    pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    pool.adopt(shapeOf({ min: 3, max: 5, spare: 2 }));
    expect(pool.members().map(({ made }) => made?.reason)).toEqual([
      'request',
      'request',
      'minimum',
      'spare',
    ]);
  });

  it('a job that no VM on its way is left for, and its story has the line', () => {
    const pool = new Pool();
    pool.ask(keyOf('1'));
    const second = pool.ask(keyOf('2'));
    expect(pool.members().map(({ made }) => made?.detail)).toEqual([
      'job 1 waits for a VM',
      'job 2 waits for a VM',
    ]);
    expect(toldOf(pool, 'made', 'request')[1]).toMatchObject({ lease: second, job: '2', user: 'u' });
  });

  it('not for what waits for an earlier start of its own job', () => {
    const pool = ready(1, { max: 3 });
    pool.stage(pool.ask(keyOf('1', attempt(1))));
    pool.ask(keyOf('1', attempt(2)));
    pool.event({ type: 'hold', member: pool.member().name, why: 'look' });
    expect(pool.members().map(({ made }) => made?.reason)).toEqual(['minimum', 'minimum']);
  });

  it('names at most three of those that do not count', () => {
    const pool = ready(5, { max: 10 });
    for (const { name } of pool.members().slice(0, 4))
      pool.event({ type: 'hold', member: name, why: 'look' });
    expect(pool.members().at(-1)?.made?.detail).toBe(
      "the pool's minimum is 5, and it has 4; not counted: p-0001-s1 (held), p-0002-s2 (held), p-0003-s3 (held) and 1 more",
    );
  });
});

describe('a grant', () => {
  it('says how many it passed over, and why', () => {
    const pool = ready(1, { max: 1 });
    pool.stage(pool.ask(keyOf('1', attempt(1))));
    pool.ask(keyOf('1', attempt(2)));
    expect(pool.places()).toEqual(['scrubbing']);
    pool.ask(keyOf('2'));
    pool.adopt(shapeOf({ min: 2, max: 2 }));
    pool.boot();
    expect(toldOf(pool, 'leased', 'first-in-line').at(-1)).toMatchObject({
      job: '2',
      detail: 'granted after 0 ms: first in line but for 1 that wait for earlier starts of their jobs',
    });
  });
});
