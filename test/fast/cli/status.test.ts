import { describe, expect, it } from '@jest/globals';
import { remoteCommand } from '../../../src/cli/ssh-into.js';
import { statusText } from '../../../src/cli/status-text.js';
import { count, cut, howLong, table } from '../../../src/cli/table.js';
import { coloured, plain, wantsColour } from '../../../src/cli/terminal.js';
import { FakeClient, leaseAnswer, memberView, play, statusView } from './play.js';

const busy = statusView({
  counts: { free: 1, busy: 1, unusable: 1, waiting: 1, leases: 1 },
  problems: ['the cloud does not answer: 503', 'VM batch-3 is held: to look at'],
  members: [
    memberView('batch-0001-abcd'),
    memberView('batch-0002-abcd', {
      state: 'Busy',
      job: {
        id: '28[0].server',
        worker: 'node1',
        user: 'alice',
        lease: 'l',
        since: '2026-11-23T09:59:55.000Z',
      },
      retiring: 'older than 60 s',
      current: false,
      generation: 'old',
    }),
    memberView('batch-0003-abcd', {
      state: 'Unusable',
      reason: 'held',
      detail: 'to look at',
      since: '2026-11-23T08:00:00.000Z',
      address: null,
    }),
  ],
  requests: [
    leaseAnswer({
      state: 'waiting',
      position: 1,
      job: '29.server',
      detail: 'all VMs are taken',
      askedAt: '2026-11-23T09:59:00.000Z',
    }),
  ],
});

describe('the status for people', () => {
  it('says the pool in a line, problems first, then VMs, then who waits', () => {
    expect(statusText(busy, plain)).toBe(
      `Pool batch: 1 Free, 1 Busy, 1 Unusable; 1 request waits
min 1, max 6, spare 0; flavor small, image debian, generation abc123

2 problems:
  • the cloud does not answer: 503
  • VM batch-3 is held: to look at

VM               STATE           SINCE     AGE  JOB           USER   ADDRESS   CELL  REMARKS
batch-0001-abcd  Free            5.0 s  60 min  -             -      10.0.0.7  c001
batch-0002-abcd  Busy            5.0 s  60 min  28[0].server  alice  10.0.0.7  c001  to be retired: older than 60 s; old generation old
batch-0003-abcd  Unusable: held  2.0 h  60 min  -             -      -         c001  to look at

PLACE  JOB        WORKER  WAITS  FOR
    1  29.server  node1    60 s  all VMs are taken`,
    );
  });

  it('is short when there is nothing to say', () => {
    expect(statusText(statusView({ shape: null }), plain)).toBe(
      'Pool batch: 0 Free, 0 Busy, 0 Unusable; no request waits\nNo shape yet.\n\nThere are no VMs.',
    );
  });

  it('has colours on a terminal only, which change no column', async () => {
    // eslint-disable-next-line no-control-regex -- this is how terminals are painted
    const codes = /\u001b\[\d+m/g;
    expect(statusText(busy, coloured)).toMatch(codes);
    expect(statusText(busy, coloured).replace(codes, '')).toBe(statusText(busy, plain));
    const client = new FakeClient();
    client.view = busy;
    expect((await play(['status'], client)).out).not.toMatch(codes);
    expect(wantsColour(true, {})).toBe(true);
    expect(wantsColour(true, { NO_COLOR: '' })).toBe(true);
    expect(wantsColour(true, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColour(true, { TERM: 'dumb' })).toBe(false);
    expect(wantsColour(false, {})).toBe(false);
  });

  it('is the API’s own JSON with --json', async () => {
    const client = new FakeClient();
    client.view = busy;
    const { out } = await play(['status', '--json'], client);
    expect(JSON.parse(out)).toEqual(busy);
  });
});

describe('words for numbers and times', () => {
  it.each([
    [0, '0.0 s'],
    [-5, '0.0 s'],
    [3_240, '3.2 s'],
    [9_949, '9.9 s'],
    [9_960, '10 s'],
    [119_000, '119 s'],
    [120_000, '2 min'],
    [7_199_000, '120 min'],
    [7_200_000, '2.0 h'],
    [172_799_000, '48.0 h'],
    [172_800_000, '2 d'],
  ])('%d ms is %s', (ms, text) => {
    expect(howLong(ms)).toBe(text);
  });

  it('counts', () => {
    expect(count(1, 'VM')).toBe('1 VM');
    expect(count(0, 'VM')).toBe('0 VMs');
    expect(count(2, 'request waits', 'requests wait')).toBe('2 requests wait');
  });

  it('cuts by what is visible', () => {
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut(coloured('red', 'abcd'), 4)).toBe(coloured('red', 'abcd'));
    expect(table([{ title: 'A', most: 3 }], [['abcdef']], plain)).toBe('A\nab…');
  });
});

describe('the command of vmpool run', () => {
  it('is a command line when it is one word, and exactly its words otherwise', () => {
    expect(remoteCommand(['echo a; echo b'])).toBe('echo a; echo b');
    expect(remoteCommand(['printf', '%s|', 'a b', "it's", '$HOME', '', '-n'])).toBe(
      `'printf' '%s|' 'a b' 'it'\\''s' '$HOME' '' '-n'`,
    );
  });
});
