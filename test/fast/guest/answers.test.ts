import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseContract, parseOrderAnswer, parseProbe, printable } from '../../../src/guest/answers.js';
import { MarkerSeal, markerText, parseMarker } from '../../../src/guest/marker.js';
import type { LeaseId, MemberName } from '../../../src/pool/model.js';
import { order } from './orders.js';

const seal = new MarkerSeal('secret of the test');
const vm = 'p-0001-abcd' as MemberName;
const parse = (text: string): ReturnType<typeof parseProbe> => parseProbe(text, vm, seal);

const boot = '7eaffe31-2330-454f-b14e-2fee70990786';

describe('the answer to a probe', () => {
  it('is read with and without a marker', () => {
    expect(parse(`boot ${boot}\nmarker -\nend\n`)).toEqual({
      ...{ ok: true, bootId: boot, marker: null, measured: null },
    });
    const { lease, key, user } = order;
    expect(parse(`boot ${boot}\nmarker ${markerText(order, vm, seal)}\nend\n`)).toEqual({
      ok: true,
      bootId: boot,
      marker: { lease, key, user, authentic: true },
      measured: null,
    });
  });

  it('has what the lease has used so far, where that can be read', () => {
    const marker = markerText(order, vm, seal);
    const figures = (cpu: string): string =>
      `v1 cpu=${cpu} memory=1048576 wall=500 begun=1 code=- told=0 over=none resource=- value=0 limit=0 by=cgroup answered=- end`;
    const answer = (usage: string): unknown => parse(`boot ${boot}\nmarker ${marker}\nusage ${usage}\nend\n`);
    expect(answer(figures('123'))).toMatchObject({
      ok: true,
      measured: { cpuSeconds: 1.23, memoryBytes: 1048576, wallSeconds: 5, begun: true },
    });
    expect(answer(figures('-1'))).toMatchObject({ ok: true, measured: null });
    expect(answer('')).toMatchObject({ ok: true, measured: null });
    const twice = `boot ${boot}\nmarker ${marker}\nusage x\nusage x\nend\n`;
    expect(parse(twice)).toMatchObject({ ok: false });
  });

  it.each([
    ['nothing', ''],
    ['a banner before it', `Welcome!\nboot ${boot}\nmarker -\nend\n`],
    ['a cut one', `boot ${boot}\nmarker -\n`],
    ['more than the answer', `boot ${boot}\nmarker -\nend\nboot x\n`],
    ['a boot id that is none', 'boot ../../x\nmarker -\nend\n'],
    ['a marker that is no JSON', `boot ${boot}\nmarker {"lease":"a"\nend\n`],
    ['a marker with a hostile lease', `boot ${boot}\nmarker {"lease":"a b"}\nend\n`],
  ])('is none when it is %s', (_what, text) => {
    expect(parse(text)).toMatchObject({ ok: false });
  });

  it('never throws and shows nothing unprintable', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        const answer = parse(text);
        if (!answer.ok) expect(answer.why).not.toMatch(/\p{Cc}/u);
        parseContract(text);
        parseOrderAnswer(text);
        expect(printable(text).length).toBeLessThanOrEqual(303);
      }),
    );
  });
});

describe('the answer to an order', () => {
  it('is its last line, the notes before it', () => {
    expect(parseOrderAnswer('ok\n')).toEqual({ kind: 'ok', notes: [], measured: null });
    expect(parseOrderAnswer('note a\nnote b\nrefused uid 5 is held\n')).toEqual({
      kind: 'refused',
      why: 'uid 5 is held',
      ...{ notes: ['a', 'b'], measured: null },
    });
  });

  it.each(['ok', 'ok\nok\n', 'fine\n', 'refused\n', 'hello\nok\n', ''])('is none in %j', (text) => {
    expect(parseOrderAnswer(text)).toBeNull();
  });
});

describe('the answer about the contract', () => {
  it('names what is missing', () => {
    expect(parseContract('missing useradd\nclock 17\nend\n')).toEqual({
      missing: ['useradd'],
      epochSeconds: 17,
    });
    expect(parseContract('clock 17\nend\n')).toEqual({ missing: [], epochSeconds: 17 });
    expect(parseContract('useradd?\nclock 17\nend\n')).toBeNull();
    expect(parseContract('missing x\nend\n')).toBeNull();
  });
});

describe('a marker', () => {
  it('begins with its lease, on one line, and is read back', () => {
    const text = markerText({ ...order, user: { ...order.user, home: '/home/a\nb' } }, vm, seal);
    expect(text.startsWith('{"lease":"lease-1",')).toBe(true);
    expect(text).not.toContain('\n');
    expect(parseMarker(text, vm, seal)).toMatchObject({ user: { home: '/home/a\nb' }, authentic: true });
    expect(parseMarker('{}', vm, seal)).toBeNull();
    expect(parseMarker('nonsense', vm, seal)).toBeNull();
  });

  it('of the time before seals is read, and is no proof', () => {
    const { lease, key, user } = order;
    const old = JSON.stringify({ lease, key, user });
    expect(parseMarker(old, vm, seal)).toEqual({ lease, key, user, authentic: false });
  });

  it('is no proof when anything in it, the VM or the secret is another: a job that was root wrote it', () => {
    const { lease, key, user } = order;
    const { mac } = JSON.parse(markerText(order, vm, seal)) as { mac: string };
    const forged: readonly object[] = [
      { lease: 'lease-2' as LeaseId, key, user, mac },
      ...[{ worker: 'wn2' }, { job: '29.server' }].map((other) => ({
        lease,
        key: { ...key, ...other },
        user,
        mac,
      })),
      ...[{ start: 3 }, { boot: 'c' }, { pid: 8 }, { ticks: 10 }].map((other) => ({
        ...{ lease, user, mac },
        key: { ...key, attempt: { ...key.attempt, ...other } },
      })),
      ...[
        { name: 'eve' },
        { uid: 4002 },
        { gid: 4002 },
        { groups: [] },
        { home: '/' },
        { shell: '/bin/false' },
      ].map((other) => ({ lease, key, user: { ...user, ...other }, mac })),
      ...['', mac.slice(1), `${mac}A`, mac.toUpperCase(), 'x'.repeat(mac.length)].map((wrong) => ({
        ...{ lease, key, user },
        mac: wrong,
      })),
    ];
    for (const marker of forged)
      expect([marker, parseMarker(JSON.stringify(marker), vm, seal)?.authentic]).toEqual([marker, false]);
    const real = markerText(order, vm, seal);
    expect(parseMarker(real, 'p-0002-abcd' as MemberName, seal)?.authentic).toBe(false);
    expect(parseMarker(real, vm, new MarkerSeal('another secret'))?.authentic).toBe(false);
    expect(parseMarker(real, vm, new MarkerSeal('secret of the test'))?.authentic).toBe(true);
  });
});
