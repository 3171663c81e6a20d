import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { z } from 'zod';
import { commonSettings, plainPath, siteCommand } from './host.js';
import type { HostPlan, ServiceInput } from './plan.js';
import { shellQuote } from './shell.js';

const address = z.string().refine((text) => isIP(text) !== 0, 'is no IP address');

export const gangliaSettings = z.strictObject({
  type: z.literal('ganglia'),
  ...commonSettings,
  /** Of our collector's file. */
  directory: plainPath.default('/etc/ganglia'),
  /** The collector's: UDP for what the VMs send, TCP for gmetad. */
  port: z.int().min(1024).max(65_535).default(8660),
  /** Where gmetad asks. */
  xmlAddress: address.default('127.0.0.1'),
  /** As gmetad and its pages name it; empty for `VM Pool <pool>`. It is an attribute of XML that gmond does not escape. */
  cluster: z
    .string()
    .regex(/^[A-Za-z0-9 ._-]{0,64}$/, 'is no name of a cluster (A-Z, a-z, 0-9, blank, . _ -)')
    .default(''),
  /** Account of the collector. */
  account: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]*$/, 'is no account name')
    .default('ganglia'),
  /** Must name the collector in a data_source; empty where gmetad runs elsewhere. */
  gmetadConfig: plainPath.or(z.literal('')).default('/etc/ganglia/gmetad.conf'),
  program: plainPath.default('/usr/sbin/gmond'),
  /** Starts the collector, or has it read its file again. Empty for the pool's own unit. */
  reload: siteCommand.or(z.literal('')).default(''),
  stop: siteCommand.or(z.literal('')).default(''),
  /** Seconds after which who says nothing is forgotten by collector and gmetad. */
  forgetAfter: z.int().min(20).max(86_400).default(300),
  /** As the collector sees the vmpool service, which sends the pool's figures. Empty for none where it is another machine. */
  metricsFrom: address.or(z.literal('')).default(''),
  /** Your text, at the end of the collector's file. */
  extra: z.string().max(16_384).default(''),
});
export type GangliaSettings = z.infer<typeof gangliaSettings>;

export interface FigureTarget {
  readonly address: string;
  readonly port: number;
  /** As who the figures are told. */
  readonly from: string;
}

/** Where the pool's own figures are sent to; null where they are not. */
export const figureTarget = ({ host, port, metricsFrom }: GangliaSettings): FigureTarget | null => {
  if (host === 'local') return { address: '127.0.0.1', port, from: metricsFrom || '127.0.0.1' };
  return metricsFrom === '' ? null : { address: host.address, port, from: metricsFrom };
};

const clusterOf = ({ cluster }: GangliaSettings, { pool }: ServiceInput): string =>
  cluster === '' ? `VM Pool ${pool}` : cluster;

/**
 * Takes packets of these addresses and of no others. Gmond compares a packet with the list of the channel's own address
 * family, so each family has a channel.
 */
const channel = (settings: GangliaSettings, family: 'inet4' | 'inet6', from: readonly string[]): string =>
  [
    `udp_recv_channel {\n  port = ${String(settings.port)}\n  family = ${family}\n  acl {\n    default = "deny"\n`,
    ...from.map(
      (ip) => `    access { ip = "${ip}" mask = ${family === 'inet4' ? '32' : '128'} action = "allow" }\n`,
    ),
    '  }\n}\n',
  ].join('');

/** What the collector shows of itself when it has read this very text. */
const urlOf = (text: string): string =>
  `vmpool:${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;

/** The whole file of a gmond that measures nothing itself and listens to the members only. Pure. */
export const gangliaConfig = (
  settings: GangliaSettings,
  input: ServiceInput,
  id: string,
): { readonly text: string; readonly url: string } => {
  const figures = figureTarget(settings);
  const own = figures === null ? [] : [figures.from];
  const from = [...new Set([...own, ...input.members.flatMap(({ addresses }) => addresses)])];
  const six = from.filter((ip) => isIP(ip) === 6);
  const channels = [
    channel(
      settings,
      'inet4',
      from.filter((ip) => isIP(ip) === 4),
    ),
    ...(six.length === 0 ? [] : [channel(settings, 'inet6', six)]),
  ];
  const url = urlOf(JSON.stringify([settings, input.pool, channels]));
  const text = `# vmpool:${id} writes this file; changes by hand are lost.
globals {
  setuid = yes
  user = "${settings.account}"
  mute = yes
  deaf = no
  host_dmax = ${String(settings.forgetAfter)}
  cleanup_threshold = 60
}
cluster {
  name = "${clusterOf(settings, input)}"
  url = "${url}"
}
tcp_accept_channel {
  port = ${String(settings.port)}
  bind = "${settings.xmlAddress}"
  family = ${isIP(settings.xmlAddress) === 6 ? 'inet6' : 'inet4'}
}
${channels.join('')}`;
  const { extra } = settings;
  return { text: text + (extra === '' || extra.endsWith('\n') ? extra : `${extra}\n`), url };
};

/** Gmond would end when it reads a broken file at a reload; `-m` reads it and lists what it could measure. */
const check = (settings: GangliaSettings, input: ServiceInput, path: string): string => {
  const { gmetadConfig, port, program, xmlAddress } = settings;
  const line = `data_source "${clusterOf(settings, input)}" 15 ${xmlAddress}:${String(port)}`;
  const gmetad =
    gmetadConfig === ''
      ? ''
      : `grep -Eq '^[[:blank:]]*data_source[[:blank:]].*:${String(port)}([[:blank:]]|$)' ${shellQuote(gmetadConfig)} || {
  echo ${shellQuote(`${gmetadConfig} does not ask the collector: add the line ${line} and restart gmetad once`)}; exit 1; }
`;
  return `[ "$VMPOOL_MODE" = apply ] || exit 0
${gmetad}verdict=$(${shellQuote(program)} -c "$VMPOOL_STAGE"${shellQuote(path)} -m 2>&1 >/dev/null) && exit 0
printf '%s\\n' "$verdict" | sed "s#$VMPOOL_STAGE##g"
exit 1`;
};

/** The collector's own XML says which file it has read. Bash can open a connection wherever it is. */
const confirm = ({ port, xmlAddress }: GangliaSettings, path: string, url: string): string => {
  const at = xmlAddress === '0.0.0.0' ? '127.0.0.1' : xmlAddress === '::' ? '::1' : xmlAddress;
  return `[ -f ${shellQuote(path)} ] || exit 0
for n in $(seq 75); do
  timeout 5 bash -c 'cat </dev/tcp/${at}/${String(port)}' 2>/dev/null | grep -qF 'URL="${url}"' && exit 0
  sleep 0.2
done
echo 'gmond does not answer on ${at}:${String(port)} with the new file: it does not run, or was not started by its absolute path (its log says why)'
exit 1`;
};

export const planGanglia = (settings: GangliaSettings, input: ServiceInput, id: string): HostPlan => {
  const path = `${settings.directory}/vmpool-${input.pool}.conf`;
  const unit = `vmpool-gmond@${input.pool}`;
  const reload = settings.reload === '' ? `systemctl reload-or-restart ${unit}` : settings.reload;
  const stop = settings.stop === '' ? `systemctl stop ${unit}` : settings.stop;
  const { text, url } = gangliaConfig(settings, input, id);
  return {
    files: [{ path, text, mode: '0644' }],
    check: check(settings, input, path),
    // There is no collector without a file: when the stack goes, and on the way back from the very first one.
    reload: `if [ -f ${shellQuote(path)} ]; then ${reload}\nelse ${stop}\nfi`,
    confirm: confirm(settings, path, url),
    rollback: null,
    hookLimitSeconds: 60,
  };
};
