import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { figureTarget, type FigureTarget } from '../../stacks/services/ganglia.js';
import type { Services } from '../../stacks/services/registry.js';
import type { Clock } from '../service/clock.js';
import type { Log } from '../service/log.js';
import { startLoop, type Loop } from '../service/loops.js';
import { figurePackets, type Figure } from './packets.js';

const everyMs = 15_000;
/** Seconds. A pool whose service is silent for so long has no figures. */
const times = { tmax: 60, dmax: 300 };

/** What is told of one pool. */
export interface PoolFigures {
  readonly pool: string;
  readonly figures: readonly Figure[];
}

export interface SenderParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly services: () => Services;
  /** Of every pool that the collectors are to know. */
  readonly figures: () => readonly PoolFigures[];
}

/**
 * Sends each pool's figures, as those of a host of its own, to the collector of each service of the type `ganglia`, as datagrams: nobody waits for an
 * answer, and a collector that is down delays nothing.
 */
export function sendFigures({ clock, log, services, figures }: SenderParts): Loop {
  /** By service, what went wrong the last time: said once. */
  const problems = new Map<string, string>();
  return startLoop(clock, log, 'ganglia', async () => {
    for (const [service, settings] of Object.entries(services())) {
      const target = settings.type === 'ganglia' ? figureTarget(settings) : null;
      if (target === null) continue;
      const ip = isIP(target.from) === 4 ? target.from : '127.0.0.1';
      const packets = figures().flatMap(({ pool, figures: own }) =>
        own.flatMap((figure) => figurePackets({ ip, name: `vmpool-${pool}` }, figure, times)),
      );
      try {
        await sendAll(target, packets);
        problems.delete(service);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        if (problems.get(service) !== why)
          log.warn({ service, err: error }, 'the pool’s figures could not be sent to Ganglia');
        problems.set(service, why);
      }
    }
    return everyMs;
  });
}

/** Rejects with the first datagram that the machine would not send (no such name, no route). */
async function sendAll({ address, port }: FigureTarget, packets: readonly Buffer[]): Promise<void> {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
  // An error that comes with no send, such as ICMP's answer to an earlier one, is no failure of this one.
  socket.on('error', () => undefined);
  try {
    for (const packet of packets) {
      await new Promise<void>((resolve, reject) => {
        socket.send(packet, port, address, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      });
    }
  } finally {
    socket.close();
  }
}
