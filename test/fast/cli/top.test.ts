import { describe, expect, it } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { EventView } from '../../../src/http/api.js';
import { liveScreen, onQuit } from '../../../src/cli/live.js';
import { topLine, topLines, type Frame } from '../../../src/cli/screens/top.js';
import { coloured, plain, visibleLength } from '../../../src/cli/terminal.js';
import { watchPool } from '../../../src/cli/watch-pool.js';
import { FakeClient, leaseAnswer, memberView, play, refusal, statusView, unreachable } from './play.js';

const event = (id: number): EventView => ({
  ...{ id, at: '2026-11-23T09:59:58.000Z', kind: 'lease', detail: 'granted after 3200 ms' },
  ...{ vm: 'batch-0001-abcd', lease: 'l', job: `${String(id)}.server`, user: 'alice' },
});
const waits = (n: number): ReturnType<typeof leaseAnswer> =>
  leaseAnswer({
    ...{ id: String(n), state: 'waiting', job: `${String(n)}.server`, position: n, vm: null },
    ...{ detail: 'no VM is free; 2 being built', askedAt: '2026-11-23T09:57:00.000Z', grantedAt: null },
  });
const frame = (vms: number, requests: number, problems: readonly string[] = []): Frame => ({
  status: statusView({
    members: Array.from({ length: vms }, (_, n) =>
      memberView(`batch-${String(n).padStart(4, '0')}-abcd`, {
        ...(n % 2 === 0 ? { state: 'Busy', detail: 'its server was stopped by somebody' } : {}),
      }),
    ),
    requests: Array.from({ length: requests }, (_, n) => waits(n + 1)),
    counts: { free: 1, busy: 2, unusable: 0, waiting: requests, leases: 2 },
    problems: [...problems],
  }),
  events: Array.from({ length: 10 }, (_, n) => event(n + 1)),
  trouble: null,
});

describe('vmpool top', () => {
  it.each([
    [80, 24, frame(3, 2)],
    [120, 40, frame(100, 30, ['a'.repeat(300), 'b', 'c', 'd', 'e'])],
    [80, 24, frame(2_000, 500, ['the cloud does not answer'])],
    [40, 10, frame(30, 9)],
    [20, 3, frame(0, 0)],
  ])('fits a terminal of %d columns and %d rows', (columns, rows, shown) => {
    for (const paint of [plain, coloured]) {
      const lines = topLines(shown, paint, columns, rows);
      expect(lines.length).toBeLessThanOrEqual(rows);
      expect(Math.max(...lines.map(visibleLength))).toBeLessThanOrEqual(columns);
    }
  });

  it('shows the pool, problems, VMs, who waits and the last events; what has no room is counted', () => {
    const lines = topLines(frame(100, 30, ['the cloud does not answer']), plain, 100, 30);
    expect(lines[0]).toMatch(/^batch: 100 VMs of at most 6; 1 Free, 2 Busy, 0 Unusable {2}\d\d:\d\d:\d\d$/);
    expect(lines[1]).toBe('30 requests wait, the longest for 3 min');
    expect(lines[2]).toBe('the cloud does not answer');
    expect(lines.filter((line) => /^\.\.\. \d+ more$/.test(line))).toHaveLength(2);
    expect(lines.join('\n')).toContain('10.server of alice: granted after');
    expect(lines.at(-1)).toBe('q ends');
  });

  it('is a line a look where no terminal is', async () => {
    expect(topLine(frame(3, 2, ['x']))).toMatch(
      /^2026-11-23 \d\d:\d\d:\d\d {2}1 Free {2}2 Busy {2}0 Unusable {2}2 waiting {2}1 problem$/,
    );
    const client = new FakeClient();
    client.failure = refusal('forbidden', 'the role worker may not do this');
    expect(await play(['top'], client)).toMatchObject({ code: 4 });
    expect((await play(['top', '--every', '0'])).err).toContain('from 0.5 to 3600');
  });

  it('waits for a service that is away, and begins anew with one that was started again', async () => {
    const client = new FakeClient();
    client.told = [event(7), event(8)];
    const stop = new AbortController();
    const frames: Frame[] = [];
    await watchPool(
      client,
      (shown) => {
        frames.push(shown);
        if (frames.length === 1) client.failure = unreachable();
        if (frames.length === 2) [client.failure, client.told] = [null, [event(1)]];
        if (frames.length === 3) stop.abort();
      },
      1,
      stop.signal,
    );
    expect(frames.map(({ events, trouble }) => [events.map(({ id }) => id), trouble !== null])).toEqual([
      [[7, 8], false],
      [[7, 8], true],
      [[1], false],
    ]);
    client.failure = unreachable();
    await expect(watchPool(client, () => undefined, 1, new AbortController().signal)).rejects.toThrow();
  });

  it('gives the terminal back, and ends on q and Ctrl-C', () => {
    let written = '';
    const screen = liveScreen({ write: (text) => void (written += text) });
    screen.show(['a', 'evil\u001b]0;title\u0007']);
    screen.close();
    expect(written).toContain('a\u001b[K\r\nevil\\u001b]0;title\\u0007\u001b[K\u001b[J');
    expect(written.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);

    const modes: boolean[] = [];
    const keyboard = Object.assign(new EventEmitter(), {
      isTTY: true,
      setRawMode: (on: boolean) => modes.push(on),
      resume: () => undefined,
      pause: () => undefined,
    });
    let quits = 0;
    const release = onQuit(keyboard, () => (quits += 1));
    for (const key of ['x', 'q', '\u0003']) keyboard.emit('data', Buffer.from(key));
    release();
    keyboard.emit('data', Buffer.from('q'));
    expect([quits, modes, keyboard.listenerCount('data')]).toEqual([2, [true, false], 0]);
  });
});
