import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SseParser } from '../../../src/dashboard/sse.js';

describe('server-sent events', () => {
  it('come out as they went in, however the stream was cut', () => {
    const events = fc.array(fc.tuple(fc.constantFrom('status', 'event'), fc.json()), { maxLength: 6 });
    fc.assert(
      fc.property(events, fc.array(fc.nat(40), { maxLength: 40 }), (sent, cuts) => {
        const text = sent.map(([event, data]) => `event: ${event}\ndata: ${data}\n\n`).join(': nothing\n\n');
        const parser = new SseParser();
        const heard: unknown[] = [];
        let at = 0;
        for (const cut of [...cuts, text.length]) {
          heard.push(...parser.push(text.slice(at, at + cut)));
          at += cut;
        }
        heard.push(...parser.push(text.slice(at)));
        expect(heard).toEqual(sent.map(([event, data]) => ({ event, data })));
      }),
    );
  });

  it('may have several lines of data, other line ends and no name', () => {
    expect(new SseParser().push('data: a\r\ndata:b\r\n\r\n')).toEqual([{ event: 'message', data: 'a\nb' }]);
  });
});
