import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseContract, parseOrderAnswer, parseProbe, printable } from '../../../src/guest/answers.js';
import { markerText, parseMarker } from '../../../src/guest/marker.js';
import { order } from './orders.js';

const boot = '7eaffe31-2330-454f-b14e-2fee70990786';

describe('the answer to a probe', () => {
  it('is read with and without a marker', () => {
    expect(parseProbe(`boot ${boot}\nmarker -\nend\n`)).toEqual({ ok: true, bootId: boot, marker: null });
    const { lease, key, user } = order;
    expect(parseProbe(`boot ${boot}\nmarker ${markerText(order)}\nend\n`)).toEqual({
      ok: true,
      bootId: boot,
      marker: { lease, key, user },
    });
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
    expect(parseProbe(text)).toMatchObject({ ok: false });
  });

  it('never throws and shows nothing unprintable', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        const answer = parseProbe(text);
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
    expect(parseOrderAnswer('ok\n')).toEqual({ kind: 'ok', notes: [] });
    expect(parseOrderAnswer('note a\nnote b\nrefused uid 5 is held\n')).toEqual({
      kind: 'refused',
      why: 'uid 5 is held',
      notes: ['a', 'b'],
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
    const text = markerText({ ...order, user: { ...order.user, home: '/home/a\nb' } });
    expect(text.startsWith('{"lease":"lease-1",')).toBe(true);
    expect(text).not.toContain('\n');
    expect(parseMarker(text)?.user.home).toBe('/home/a\nb');
    expect(parseMarker('{}')).toBeNull();
    expect(parseMarker('nonsense')).toBeNull();
  });
});
