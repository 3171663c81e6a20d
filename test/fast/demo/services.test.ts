import { describe, expect, it } from '@jest/globals';
import { Onlooker } from '../../../src/demo/services/follow.js';
import { parseXml } from '../../../src/demo/services/ganglia.js';
import { parseStatus } from '../../../src/demo/services/nagios.js';
import type { Seen } from '../../../src/demo/services/watched.js';
import type { StatusView } from '../../../src/http/api.js';

const host = (name: string, tn: number, body = ''): string =>
  `<HOST NAME="${name}" IP="127.1.0.2" REPORTED="1" TN="${String(tn)}" TMAX="20" DMAX="90">${body}</HOST>`;
const counts = { free: 2, busy: 0, unusable: 0, leases: 0, waiting: 0 };
const figures = Object.entries(counts)
  .map(([name, value]) => `<METRIC NAME="vmpool_${name}" VAL="${String(value)}" TYPE="uint32"/>`)
  .join('\n');

describe('what the daemons of the demo show', () => {
  it('is read from gmetad: hosts that were heard of lately, and the figures', () => {
    const xml = `<GRID NAME="site"><CLUSTER NAME="VM Pool demo">${host('a', 80)}\n${host('b', 81)}\n${host('vmpool-demo', 3, figures)}</CLUSTER></GRID>`;
    const seen = parseXml(xml);
    expect([...seen.hosts]).toEqual([
      ['a', 'up'],
      ['b', 'unknown'],
    ]);
    expect(seen.figures?.get('vmpool_free')).toBe(2);
    expect(parseXml('')).toEqual({ hosts: new Map(), figures: new Map() });
  });

  it('is read from Nagios: a failure counts when Nagios is sure', () => {
    const status = (name: string, state: number, type: number, checked: number): string =>
      `hoststatus {\n\thost_name=${name}\n\thas_been_checked=${String(checked)}\n\tcurrent_state=${String(state)}\n\tstate_type=${String(type)}\n\t}\n`;
    const text =
      status('up', 0, 1, 1) + status('down', 1, 1, 1) + status('soft', 1, 0, 1) + status('new', 0, 1, 0);
    expect(Object.fromEntries(parseStatus(text))).toEqual({
      up: 'up',
      down: 'down',
      soft: 'unknown',
      new: 'unknown',
    });
  });
});

describe('the check of the demo', () => {
  const view = { line: () => undefined, frame: () => undefined, settle: () => undefined };
  const status = { members: [{ name: 'a' }, { name: 'b' }], counts } as unknown as StatusView;
  const missing = async (seen: Seen) => {
    let looks = 0;
    const look = (): Promise<Seen> => {
      looks += 1;
      return Promise.resolve(seen);
    };
    const watched = { name: 'Daemon', look, keepsOthers: () => Promise.resolve(true) };
    const onlooker = new Onlooker([watched], view);
    expect(onlooker.missing(status)).toEqual(['Daemon shows nothing yet']);
    onlooker.start();
    while (looks === 0) await Promise.resolve();
    await onlooker.stop();
    return { missing: onlooker.missing(status), alarms: onlooker.alarms };
  };
  const hosts = (names: Record<string, 'up' | 'down' | 'unknown'>): Seen['hosts'] =>
    new Map(Object.entries(names));

  it('has nothing to say where exactly the members are shown as up, with the right figures', async () => {
    const right = parseXml(host('vmpool-demo', 1, figures)).figures;
    const good = { missing: [], alarms: [] };
    expect(await missing({ hosts: hosts({ a: 'up', b: 'up' }), figures: null })).toEqual(good);
    expect(await missing({ hosts: hosts({ a: 'up', b: 'up' }), figures: right })).toEqual(good);
  });

  it('says who is missing, who is too much, which figures are wrong, and that there was an alarm', async () => {
    const wrong = await missing({
      hosts: hosts({ a: 'down', c: 'up' }),
      figures: new Map([['vmpool_free', 2]]),
    });
    expect(wrong.missing).toEqual([
      'Daemon does not show a, b as up',
      'Daemon still shows c',
      "Daemon does not show the pool's figures of now",
    ]);
    expect(wrong.alarms).toEqual(['Daemon raised an alarm for a']);
  });
});
