import { createServer, connect, type AddressInfo } from 'node:net';
import { poolName } from '../place.js';
import type { ServiceHost } from './service-host.js';
import type { Health, Seen, Watched } from './watched.js';

/**
 * gmetad forgets a host up to three minutes after its limit, at a pace of its own that no setting changes: its time runs
 * so much faster.
 */
const faster = 10;
/** Seconds, of that time. Longer than the collector needs to hear everybody again after it was reloaded. */
const forgetAfter = 90;

const unit = 'vmpool-collector';
const collectorFile = `/etc/ganglia/vmpool-${poolName}.conf`;
/** Nobody fetches an ended process there: it is there, but has no program any more. */
const runs = `[ -e "/proc/$(cat /run/${unit}.pid 2>/dev/null || echo none)/exe" ]`;
/** In the place of the unit of the operator's guide: there is no systemd. */
const commands = {
  reload:
    `if ${runs}; then kill -HUP "$(cat /run/${unit}.pid)"; else ` +
    `{ setsid /usr/sbin/gmond -f -c ${collectorFile} >/run/${unit}.log 2>&1 </dev/null & echo $! >/run/${unit}.pid; }; fi`,
  stop: `kill "$(cat /run/${unit}.pid)"; while ${runs}; do sleep 0.1; done; rm /run/${unit}.pid`,
};

const gmetadFile = '/etc/ganglia/gmetad.conf';

/** Ganglia on the services' host: gmetad, and the collector that the service's updates start there. */
export class Ganglia implements Watched {
  readonly name = 'Ganglia';

  private constructor(
    private readonly host: ServiceHost,
    readonly collectorPort: number,
    private readonly xmlPort: number,
    private readonly own: string,
  ) {}

  static async start(host: ServiceHost): Promise<Ganglia> {
    const [collector = 0, xml = 0, interactive = 0] = await freePorts(3);
    const own = gmetadConfig(collector, xml, interactive);
    await host.run(
      `cat >${gmetadFile} && mkdir -p /var/lib/ganglia/rrds || exit 1
       for lib in /usr/lib/*/faketime/libfaketimeMT.so.1; do :; done
       LD_PRELOAD=$lib FAKETIME='+0 x${String(faster)}' setsid /usr/sbin/gmetad -d 1 -c ${gmetadFile} >/run/gmetad.log 2>&1 </dev/null &
       gmetad=$!
       for n in $(seq 600); do
         timeout 5 bash -c 'cat </dev/tcp/127.0.0.1/${String(xml)}' 2>/dev/null | grep -q '</GANGLIA_XML>' && exit 0
         kill -0 $gmetad 2>/dev/null || break
         sleep 0.1
       done
       cat /run/gmetad.log; exit 1`,
      own,
    );
    return new Ganglia(host, collector, xml, own);
  }

  /** Of the service, besides its host. A site with systemd leaves `reload` and `stop` out. */
  get settings(): Readonly<Record<string, unknown>> {
    return { port: this.collectorPort, metricsFrom: '127.0.0.1', forgetAfter, ...commands };
  }

  async look(): Promise<Seen> {
    return parseXml(await readAll(this.xmlPort));
  }

  /** gmetad's own file is as it was. */
  async keepsOthers(): Promise<boolean> {
    return (await this.host.run(`cat ${gmetadFile}`)) === this.own;
  }
}

/** The site's own file: one data source that never changes, and no graphs on disk. */
const gmetadConfig = (
  collector: number,
  xml: number,
  interactive: number,
): string => `data_source "VM Pool ${poolName}" 15 127.0.0.1:${String(collector)}
gridname "site"
setuid off
write_rrds off
xml_port ${String(xml)}
interactive_port ${String(interactive)}
`;

const figuresHost = `vmpool-${poolName}`;

/**
 * gmetad's XML. A host is up where it was heard of within four times its `TMAX`, as on Ganglia's own pages; Ganglia
 * raises no alarms. Pure.
 */
export const parseXml = (xml: string): Seen => {
  const hosts = new Map<string, Health>();
  let figures: ReadonlyMap<string, number> = new Map();
  for (const [, attributes = '', body = ''] of xml.matchAll(/<HOST ([^>]*)>([^]*?)<\/HOST>/g)) {
    const value = (key: string): string => new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    const name = value('NAME');
    if (name === figuresHost)
      figures = new Map(
        [...body.matchAll(/<METRIC NAME="([^"]*)" VAL="([^"]*)"/g)].map(([, metric = '', text]) => [
          metric,
          Number(text),
        ]),
      );
    else hosts.set(name, Number(value('TN')) <= 4 * Number(value('TMAX')) ? 'up' : 'unknown');
  }
  return { hosts, figures };
};

const lookLimitMs = 20_000;

/** All that a port of this machine tells whoever connects. */
const readAll = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', signal: AbortSignal.timeout(lookLimitMs) });
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    socket.once('error', reject).once('end', () => {
      socket.destroy();
      resolve(text);
    });
  });

/** Ports on which nobody listens now. */
const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.once('error', reject);
            server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
          }),
      ),
    );
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
};
