import { until, type Enclosure } from './enclosure.js';

/** What `systemctl reload-or-restart` and `stop` do to the unit of the operator's guide. */
const runs = '[ -e /proc/$(cat /run/gmond.pid 2>/dev/null || echo none)/exe ]';
export const gmondReload =
  `if ${runs}; then kill -HUP $(cat /run/gmond.pid); else ` +
  '{ setsid /usr/sbin/gmond -f -c /etc/ganglia/vmpool-batch.conf >/run/gmond.log 2>&1 </dev/null & echo $! >/run/gmond.pid; }; fi';
export const gmondStop = `kill $(cat /run/gmond.pid); while ${runs}; do sleep 0.1; done; rm /run/gmond.pid`;

const gmetadPort = 8651;
/** Its minutes are seconds: it forgets a host within three minutes after the host's own limit, and polls every 15 s. */
const faster = 60;

/** The real gmetad with one fixed source, in a time that runs faster. */
export async function startGmetad(host: Enclosure, cluster: string): Promise<void> {
  await host.must(
    `cat >/etc/ganglia/gmetad.conf <<'END'
data_source "${cluster}" 15 127.0.0.1:8660
gridname "site"
setuid off
END
     mkdir -p /var/lib/ganglia/rrds
     LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1) FAKETIME='+0 x${String(faster)}' \
       setsid /usr/sbin/gmetad -d 1 -c /etc/ganglia/gmetad.conf >/run/gmetad.log 2>&1 </dev/null & echo $! >/run/gmetad.pid`,
  );
  await until('gmetad', async () => (await xmlAt(host, gmetadPort)).includes('<GRID'), 60_000);
}

/** A VM's gmond as the guide has it: it sends to the collector and nowhere else. */
export const startGmondOfVm = (host: Enclosure, name: string, address: string): Promise<string> =>
  host.must(
    `cat >/etc/ganglia/${name}.conf <<'END'
globals { setuid = no deaf = yes send_metadata_interval = 2 override_hostname = "${name}" override_ip = "${address}" }
cluster { name = "unspecified" }
udp_send_channel { host = 127.0.0.1 port = 8660 bind = "${address}" }
modules { module { name = "core_metrics" } }
collection_group { collect_every = 1 time_threshold = 2 metric { name = "heartbeat" } }
END
     setsid /usr/sbin/gmond -f -c /etc/ganglia/${name}.conf >/run/${name}.log 2>&1 </dev/null &`,
  );

const xmlAt = async (host: Enclosure, port: number): Promise<string> =>
  (await host.run(`timeout 10 bash -c 'cat </dev/tcp/127.0.0.1/${String(port)}'`)).words;

/** Names of the hosts that the daemon shows, sorted, and the values of a host's metrics. */
export interface Shown {
  readonly hosts: readonly string[];
  readonly metrics: (host: string) => Readonly<Record<string, string>>;
  readonly xml: string;
}

const parse = (xml: string): Shown => {
  const blocks = [...xml.matchAll(/<HOST NAME="([^"]*)"[^>]*>([^]*?)<\/HOST>/g)];
  return {
    xml,
    hosts: blocks.map(([, name]) => name ?? '').sort(),
    metrics: (host) => {
      const body = blocks.find(([, name]) => name === host)?.[2] ?? '';
      return Object.fromEntries(
        [...body.matchAll(/<METRIC NAME="([^"]*)" VAL="([^"]*)"/g)].map(([, name, value]) => [
          name ?? '',
          value ?? '',
        ]),
      );
    },
  };
};

export const shownByGmond = async (host: Enclosure): Promise<Shown> => parse(await xmlAt(host, 8660));
export const shownByGmetad = async (host: Enclosure): Promise<Shown> => parse(await xmlAt(host, gmetadPort));
