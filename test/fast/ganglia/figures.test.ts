import { afterEach, describe, expect, it } from '@jest/globals';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { poolFigures } from '../../../src/ganglia/figures.js';
import { figurePackets } from '../../../src/ganglia/packets.js';
import { sendFigures } from '../../../src/ganglia/sender.js';
import type { Services } from '../../../stacks/services/registry.js';
import { servicesSchema } from '../../../stacks/services/registry.js';
import { keyOf, ready } from '../pool/fixture.js';
import { fakeLog } from '../service/fake-ports.js';
import { ManualClock } from '../service/manual-clock.js';

/** Reads XDR as RFC 4506 has it. */
class Xdr {
  private at = 0;
  constructor(private readonly bytes: Buffer) {}
  uint(): number {
    this.at += 4;
    return this.bytes.readUInt32BE(this.at - 4);
  }
  text(): string {
    const length = this.uint();
    const value = this.bytes.toString('utf8', this.at, this.at + length);
    this.at += Math.ceil(length / 4) * 4;
    return value;
  }
  get ended(): boolean {
    return this.at === this.bytes.length;
  }
}

describe('the pool’s figures for Ganglia', () => {
  it('are members by state, leases, waiting requests and the age of the oldest', () => {
    const pool = ready(2);
    const valuesAt = (now: number): Readonly<Record<string, number>> =>
      Object.fromEntries(poolFigures(pool.state, now).map(({ name, value }) => [name, value]));
    expect(valuesAt(pool.now)).toEqual({
      ...{ vmpool_free: 2, vmpool_busy: 0, vmpool_unusable: 0 },
      ...{ vmpool_leases: 0, vmpool_waiting: 0, vmpool_oldest_request: 0 },
    });
    for (const job of ['1', '2', '3']) pool.ask(keyOf(job));
    const now = valuesAt(pool.now + 7_400);
    expect(now).toMatchObject({ vmpool_leases: 2, vmpool_waiting: 1, vmpool_oldest_request: 7 });
    expect((now['vmpool_free'] ?? 0) + (now['vmpool_busy'] ?? 0)).toBe(2);
  });

  it('go as a description and a value, of a host that is not the sender', () => {
    const [first, second] = figurePackets(
      { ip: '192.0.2.1', name: 'vmpool-batch' },
      { name: 'vmpool_free', title: 'Free VMs, ü', units: 'VMs', value: 4_294_967_295 },
      { tmax: 60, dmax: 300 },
    );
    const about = new Xdr(first ?? Buffer.alloc(0));
    expect([about.uint(), about.text(), about.text(), about.uint()]).toEqual([
      ...[128, '192.0.2.1:vmpool-batch', 'vmpool_free', 1],
    ]);
    expect([about.text(), about.text(), about.text()]).toEqual(['uint32', 'vmpool_free', 'VMs']);
    expect([about.uint(), about.uint(), about.uint(), about.uint()]).toEqual([3, 60, 300, 3]);
    expect(Array.from({ length: 6 }, () => about.text())).toEqual([
      ...['GROUP', 'vmpool', 'TITLE', 'Free VMs, ü', 'SPOOF_HOST', '192.0.2.1:vmpool-batch'],
    ]);
    expect(about.ended).toBe(true);
    const value = new Xdr(second ?? Buffer.alloc(0));
    expect([value.uint(), value.text(), value.text(), value.uint(), value.text(), value.text()]).toEqual([
      ...[133, '192.0.2.1:vmpool-batch', 'vmpool_free', 1, '%s', '4294967295'],
    ]);
    expect(value.ended).toBe(true);
  });
});

describe('the sender of the figures', () => {
  let collector: Socket | null = null;
  afterEach(() => {
    collector?.close();
    collector = null;
  });
  const listen = async (): Promise<{ readonly port: number; readonly values: string[] }> => {
    const socket = createSocket('udp4');
    collector = socket;
    const values: string[] = [];
    socket.on('message', (packet) => {
      const xdr = new Xdr(packet);
      if (xdr.uint() !== 133) return;
      const [host, name] = [xdr.text(), xdr.text()];
      xdr.uint();
      xdr.text();
      values.push(`${host} ${name} ${xdr.text()}`);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return { port: socket.address().port, values };
  };
  const arrived = async (values: readonly string[], count: number): Promise<void> => {
    const end = Date.now() + 20_000;
    while (values.length < count) {
      if (Date.now() > end) throw new Error(`only ${String(values.length)} of ${String(count)} arrived`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('sends those of every pool each 15 s to each collector, and one that cannot be sent to holds up no other', async () => {
    const { port, values } = await listen();
    const clock = new ManualClock();
    const log = fakeLog();
    const keyFile = '/etc/vmpool/service-key';
    const hostKey = `ssh-ed25519 ${'A'.repeat(68)}`;
    const services: Services = servicesSchema.parse({
      // Longer than the name of any host may be: it is refused before anybody is asked for it.
      broken: {
        ...{ type: 'ganglia', metricsFrom: '192.0.2.1' },
        host: { address: `${'a'.repeat(64)}.invalid`, keyFile, hostKey },
      },
      far: { type: 'ganglia', host: { address: '127.0.0.1', keyFile, hostKey }, port },
      ganglia: { type: 'ganglia', host: 'local', port },
      other: { type: 'command', host: 'local', apply: 'true' },
    });
    let free = 1;
    const loop = sendFigures({
      ...{ clock, log, services: () => services },
      figures: () =>
        [free, 7].map((value, at) => ({
          pool: at === 0 ? 'batch' : 'large',
          figures: [{ name: 'vmpool_free', title: 'Free VMs', units: 'VMs', value }],
        })),
    });
    try {
      // `far` does not say as whom the service is seen there: nothing is sent to it.
      await arrived(values, 2);
      free = 2;
      const end = Date.now() + 20_000;
      while (!clock.naps.includes(15_000) && Date.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 5));
      await clock.advance(15_000);
      await arrived(values, 4);
      expect(values).toEqual(
        [1, 2].flatMap((value) => [
          `127.0.0.1:vmpool-batch vmpool_free ${String(value)}`,
          '127.0.0.1:vmpool-large vmpool_free 7',
        ]),
      );
    } finally {
      await loop.stop();
    }
  }, 60_000);
});
