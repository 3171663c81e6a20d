import { describe, expect, it } from '@jest/globals';
import { Recent } from '../../../src/service/recent.js';

const counts = (free: number) => ({ free, busy: 0, unusable: 0, waiting: 0 });

describe('what happened recently', () => {
  it('keeps the last events, numbered', () => {
    const recent = new Recent({ events: 3, points: 10, pointEveryMs: 10 });
    for (let n = 1; n <= 5; n += 1) recent.told({ at: n, kind: 'vm', member: 'm', detail: String(n) });
    expect(recent.events(0).map(({ id, detail }) => [id, detail])).toEqual([
      [3, '3'],
      [4, '4'],
      [5, '5'],
    ]);
    expect(recent.events(4)).toMatchObject([{ id: 5, vm: 'm', job: null }]);
    expect(recent.events(5)).toEqual([]);
  });

  it('keeps what was decided, and why', () => {
    const recent = new Recent();
    recent.told({ at: 1, kind: 'vm', member: 'm', detail: 'd', decision: 'made', reason: 'spare' });
    recent.told({ at: 2, kind: 'vm', member: 'm', detail: 'd' });
    expect(recent.events(0)[0]).toMatchObject({ decision: 'made', reason: 'spare' });
    expect(Object.keys(recent.events(0)[1] ?? {})).not.toContain('decision');
  });

  it('gives all to who counts from before a restart', () => {
    const recent = new Recent();
    recent.told({ at: 1, kind: 'vm', detail: 'first' });
    expect(recent.events(400)).toHaveLength(1);
  });

  it('keeps a trend of bounded length whose old points lie further apart', () => {
    const recent = new Recent({ events: 1, points: 8, pointEveryMs: 10 });
    for (let at = 0; at < 1_000; at += 5) if (recent.isDue(at)) recent.counted(at, counts(at));
    const times = recent.trend().map(({ at }) => Date.parse(at));
    expect(times.length).toBeLessThanOrEqual(8);
    expect(times[0]).toBe(0);
    expect(times.at(-1)).toBe(990);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
  });
});
