import { describe, expect, it } from '@jest/globals';
import {
  ageAndProbe,
  cellWords,
  facts,
  filtered,
  ordersFor,
  poolRows,
  sentence,
  serviceLag,
  serviceReasons,
  since,
  span,
  summary,
  waits,
  withEvent,
} from '../../../src/dashboard/model.js';
import type { EventView, ServiceView } from '../../../src/http/api.js';
import { leaseAnswer, memberView, statusView } from '../cli/play.js';

const now = Date.parse('2026-11-23T10:00:00.000Z');
const job = { id: '7.srv', worker: 'node1', user: 'ann', lease: 'l', since: '2026-11-23T09:58:00.000Z' };

describe('the pools of a service', () => {
  const takes = { queues: null, features: [], reserved: false, processors: 4, memory: 8 * 1024 ** 3 };
  const { counts, shape } = statusView();

  it('are not shown where there is one', () => {
    expect(poolRows(statusView())).toEqual([]);
    expect(facts(memberView('a'), now).map(([name]) => name)).not.toContain('Pool');
  });

  it('are shown with what they take, and their VMs are found by them', () => {
    const paused = { name: 'gpu', counts: { ...counts, free: 2 }, shape: null, paused: true, problems: 0 };
    const pools = [
      { name: 'batch', counts, shape, paused: false, problems: 0, takes },
      {
        ...paused,
        takes: { queues: ['q'], features: ['gpu'], reserved: true, processors: null, memory: null },
      },
    ];
    expect(poolRows(statusView({ pools }))).toEqual([
      ['batch', '0 free, 0 busy, 0 unusable; 0 waiting', '1 to 6, small', 'ppn 4; mem 8 GiB'],
      [
        ...['gpu', '2 free, 0 busy, 0 unusable; 0 waiting', 'no shape yet'],
        'paused; processors not known yet; queues q; only features gpu',
      ],
    ]);
    const members = [memberView('a', { pool: 'batch' }), memberView('b', { pool: 'gpu' })];
    expect(filtered(members, { state: null, text: 'GPU' }).map(({ name }) => name)).toEqual(['b']);
    expect(facts(memberView('a', { pool: 'batch' }), now)).toContainEqual(['Pool', 'batch']);
  });
});

describe('the facts of a VM', () => {
  it('tell what its job has used so far, where that is known', () => {
    const at = '2026-11-23T09:59:35.000Z';
    const used = { at, cpuSeconds: 75.2, memoryBytes: 130 * 2 ** 20, wallSeconds: 95 };
    const member = memberView('a', { state: 'Busy', job });
    expect(facts(member, now, used)).toContainEqual([
      'Used so far',
      '1 min of CPU time in 1 min, 130 MiB at most, as of 25 s ago',
    ]);
    expect(facts(member, now).map(([name]) => name)).not.toContain('Used so far');
  });
});

describe('words for people', () => {
  it.each([
    [0, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_600_000, '1 h'],
    [12_000_000, '3 h 20 min'],
    [86_400_000 * 5 + 3_600_000 * 4, '5 d 4 h'],
    [-5, '0 s'],
  ])('%d ms are %s', (ms, text) => {
    expect(span(ms)).toBe(text);
  });

  it('say nothing of a time that is none', () => {
    expect(since(null, now)).toBe('');
    expect(since('', now)).toBe('');
  });

  it('say how far a service is behind, and why', () => {
    const well: ServiceView = {
      ...{ name: 'nagios', type: 'nagios', stack: 'b-svc-nagios', hosts: 3, toAdd: 0, toRemove: 0 },
      ...{ running: false, upToDate: true, behindSince: null, nextTry: null, lastError: null },
    };
    expect([serviceLag(well, now), serviceReasons(well, now)]).toEqual(['up to date', '']);
    const behindSince = '2026-11-23T09:58:00.000Z';
    const late: ServiceView = {
      ...well,
      ...{ upToDate: false, behindSince, toAdd: 2, toRemove: 1, lastError: 'ssh: no route' },
      nextTry: '2026-11-23T10:00:40.000Z',
    };
    expect(serviceLag(late, now)).toBe('behind for 2 min');
    expect(serviceReasons(late, now)).toBe('2 to add; 1 to remove; tried again in 40 s; ssh: no route');
    expect(serviceLag({ ...late, running: true, behindSince: null }, now)).toBe('being updated');
  });

  it('name a VM, its state, how long and its job', () => {
    const held = memberView('b-2', { state: 'Unusable', reason: 'held' });
    expect(sentence(held, now)).toBe('b-2: Unusable, held for 5 s; 1 h old, not probed yet');
    const probe = { at: '2026-11-23T09:59:48.000Z', failures: 0 };
    expect(sentence(memberView('b-1', { state: 'Busy', job, probe }), now)).toBe(
      'b-1: Busy for 5 s, job 7.srv of ann; 1 h old, probed 12 s ago',
    );
  });

  it.each([
    [1, '1 h old, 1 failed probe, the last 12 s ago'],
    [3, '1 h old, 3 failed probes, the last 12 s ago'],
  ])('tell of %d failed probes', (failures, words) => {
    const probe = { at: '2026-11-23T09:59:48.000Z', failures };
    expect(ageAndProbe(memberView('b-1', { probe }), now)).toBe(words);
  });

  it.each([
    [false, null, 'converged'],
    [true, null, 'running'],
    [false, 'no route', 'failed: no route'],
    [true, 'no route', 'running; the last one failed: no route'],
  ])('tell what a cell is at', (running, lastError, words) => {
    const cell = { name: 'c001', stack: 'b-c001', members: 1 };
    expect(cellWords({ ...cell, running, lastError })).toBe(words);
  });

  it('tell all facts there are and no empty ones', () => {
    const rows = facts(memberView('b-1', { state: 'Busy', job, probe: { at: job.since, failures: 2 } }), now);
    const told = Object.fromEntries(rows);
    expect(told).toMatchObject({
      Job: '7.srv of ann from node1, for 2 min',
      'Last probe': '2 min ago, 2 failed in a row',
      Age: '1 h',
    });
    expect(Object.keys(told)).not.toContain('Detail');
  });

  it('sum the pool up in one sentence', () => {
    const counts = { free: 1, busy: 2, unusable: 0, waiting: 3, leases: 2 };
    expect(summary(statusView({ counts, problems: ['x'] }))).toBe(
      '3 VMs of at most 6: 1 free, 2 busy, 0 unusable; 3 requests waiting; 1 problem',
    );
  });
});

describe('a waiting request', () => {
  it('has waited so long, of so long that it may', () => {
    const asked = leaseAnswer({ state: 'waiting', askedAt: '2026-11-23T09:48:00.000Z' });
    expect(waits(asked, now)).toBe('12 min');
    expect(waits({ ...asked, maxWaitSeconds: 3_600 }, now)).toBe('12 min of 1 h');
    expect(waits({ ...asked, maxWaitSeconds: 0 }, now)).toBe('12 min of 0 s');
  });
});

describe('a filter', () => {
  const members = [
    memberView('b-1', { state: 'Busy', job }),
    memberView('b-2'),
    memberView('b-3', { state: 'Unusable', reason: 'unreachable', detail: 'No Route' }),
  ];
  it.each([
    [{ state: null, text: '' }, ['b-1', 'b-2', 'b-3']],
    [{ state: 'Free', text: '' }, ['b-2']],
    [{ state: null, text: ' ANN ' }, ['b-1']],
    [{ state: null, text: 'no route' }, ['b-3']],
    [{ state: 'Free', text: 'ann' }, []],
  ] as const)('%j shows %j', (filter, names) => {
    expect(filtered(members, filter).map(({ name }) => name)).toEqual(names);
  });
});

describe('orders on offer', () => {
  it.each([
    ['a VM in use', {}, ['hold', 'drain', 'retire']],
    ['one that goes after its job', { retiring: 'old' }, ['hold']],
    ['a held one', { state: 'Unusable', reason: 'held' }, ['unhold', 'retire']],
    ['one that is being deleted', { state: 'Unusable', reason: 'deleting' }, []],
  ] as const)('for %s', (_, changes, orders) => {
    expect(ordersFor(memberView('b-1', changes))).toEqual(orders);
  });
});

describe('events', () => {
  it('are shown newest first, each once, and not without end', () => {
    const event = (id: number): EventView => ({
      ...{ id, at: '', kind: 'vm', detail: '', vm: null, lease: null, job: null, user: null },
    });
    let events: readonly EventView[] = [];
    for (let id = 1; id <= 300; id += 1) events = withEvent(withEvent(events, event(id)), event(id));
    expect(events).toHaveLength(200);
    expect(events[0]?.id).toBe(300);
  });
});
