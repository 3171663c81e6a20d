import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { setImmediate as turn } from 'node:timers/promises';
import { namedLines, runScheduled } from '../../../scripts/suite-schedule.mjs';

/** Runs tasks that each last some turns of the event loop, and writes down what ran at the same time. */
async function play(
  widths: readonly { slots: number; turns: number; then?: number }[],
  capacity: number,
  stopAfter = Infinity,
): Promise<{ started: string[]; peak: number; most: number; alone: string[]; busyWhenAlone: number }> {
  const seen = { started: [] as string[], peak: 0, most: 0, alone: [] as string[], busyWhenAlone: 0 };
  let used = 0;
  let running = 0;
  const tasks = widths.map(({ slots, turns, then = slots }, at) => ({
    name: `suite ${String(at)}`,
    slots,
    run: async (narrow: (slots: number) => void) => {
      const rest = Math.min(then, slots, capacity);
      seen.started.push(`suite ${String(at)}`);
      used += Math.min(slots, capacity);
      running += 1;
      seen.peak = Math.max(seen.peak, used);
      seen.most = Math.max(seen.most, running);
      for (let n = 0; n < turns; n += 1) await turn();
      used -= Math.min(slots, capacity) - rest;
      narrow(then);
      for (let n = 0; n < turns; n += 1) await turn();
      used -= rest;
      running -= 1;
    },
  }));
  await runScheduled(tasks, {
    capacity,
    alone: (names) => {
      seen.alone.push(...names);
      seen.busyWhenAlone += used;
      return Promise.resolve();
    },
    stopped: () => seen.started.length >= stopAfter,
  });
  return seen;
}

const someTasks = fc.array(
  fc.record({
    slots: fc.integer({ min: 1, max: 3 }),
    turns: fc.integer({ min: 0, max: 9 }),
    then: fc.integer({ min: 1, max: 4 }),
  }),
  { maxLength: 12 },
);

describe('suites side by side', () => {
  it('start in their order, never more than fit, and what they leave is looked at when nothing runs', async () => {
    await fc.assert(
      fc.asyncProperty(someTasks, fc.integer({ min: 1, max: 3 }), async (tasks, capacity) => {
        const seen = await play(tasks, capacity);
        const names = tasks.map((_, at) => `suite ${String(at)}`);
        expect(seen.started).toEqual(names);
        expect(seen.peak).toBeLessThanOrEqual(capacity);
        expect(seen.alone.toSorted()).toEqual(names.toSorted());
        expect(seen.busyWhenAlone).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('really run at the same time where there is room', async () => {
    const two = [
      { slots: 1, turns: 5 },
      { slots: 1, turns: 5 },
    ];
    expect((await play(two, 2)).peak).toBe(2);
    expect((await play(two, 1)).peak).toBe(1);
  });

  it('let others in beside one that needs less room from then on', async () => {
    const second = { slots: 1, turns: 1 };
    expect((await play([{ slots: 3, turns: 5 }, second], 2)).most).toBe(1);
    expect(await play([{ slots: 3, turns: 5, then: 1 }, second], 2)).toMatchObject({ most: 2, peak: 2 });
  });

  it('start no more once they are stopped, and those that run are waited for', async () => {
    const seen = await play(Array(5).fill({ slots: 1, turns: 3 }), 2, 2);
    expect(seen.started).toEqual(['suite 0', 'suite 1']);
    expect(seen.alone).toEqual(['suite 0', 'suite 1']);
  });
});

describe('the lines of suites side by side', () => {
  it('bear the name, wherever the chunks are cut, within a character too', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'é', '漢', '🜁', '\n')).map((letters) => letters.join('')),
        fc.array(fc.nat(40)),
        (text, cuts) => {
          const bytes = Buffer.from(text, 'utf8');
          const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
          let written = '';
          const lines = namedLines('fast', (line) => (written += line));
          for (const [index, end] of at.entries()) lines.chunk(bytes.subarray(at[index - 1] ?? 0, end));
          lines.end();
          const whole = text.endsWith('\n') || text === '' ? text : `${text}\n`;
          const each = whole.split('\n').slice(0, -1);
          expect(written).toBe(each.map((line) => `[fast] ${line}\n`).join(''));
        },
      ),
    );
  });
});
