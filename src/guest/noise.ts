/**
 * What an innocent machine changes by itself between two jobs. Everything else that differs from the baseline is a
 * finding. Each rule is as narrow as the noise it excuses; docs/reference/guest-image.md lists them for operators.
 */
export interface NoiseRule {
  /** The path itself and all below it. `*` as in find -path (it matches `/`, too). */
  readonly path: string;
  /**
   * `content`: this file may be rewritten; type, mode and owner stay, and it may come and go.
   * `entries`: plain files and directories may come, go and change: owned by the system, no set-id bits, not
   * executable.
   * `runtime`: as `entries`, and sockets, pipes and symbolic links too.
   */
  readonly may: 'content' | 'entries' | 'runtime';
  readonly why: string;
}

export const noiseRules: readonly NoiseRule[] = [
  { path: '/var/log', may: 'entries', why: 'logs, journal, wtmp, btmp, lastlog' },
  { path: '/var/cache', may: 'entries', why: 'caches of apt, man-db, ldconfig' },
  { path: '/var/lib/systemd/random-seed', may: 'content', why: 'written at shutdown' },
  { path: '/var/lib/systemd/timesync', may: 'entries', why: 'the clock file' },
  { path: '/var/lib/systemd/timers', may: 'entries', why: 'time stamps of timers' },
  { path: '/var/lib/private/systemd', may: 'entries', why: 'state of DynamicUser services' },
  { path: '/var/lib/dhcp', may: 'entries', why: 'leases' },
  { path: '/var/lib/dhclient', may: 'entries', why: 'leases' },
  { path: '/var/lib/NetworkManager', may: 'entries', why: 'leases and time stamps' },
  { path: '/var/lib/chrony', may: 'entries', why: 'clock drift' },
  { path: '/var/lib/logrotate', may: 'entries', why: 'which log was rotated when' },
  { path: '/var/lib/lastlog', may: 'entries', why: 'last logins' },
  { path: '/var/lib/wtmpdb', may: 'entries', why: 'logins' },
  { path: '/var/spool/cron/atjobs/.SEQ', may: 'content', why: "at's counter" },
  { path: '/etc/resolv.conf', may: 'content', why: 'DHCP' },
  { path: '/etc/.pwd.lock', may: 'content', why: 'touched by the account tools' },
  ...['passwd', 'group', 'shadow', 'gshadow', 'subuid', 'subgid'].flatMap((file): NoiseRule[] => [
    {
      path: `/etc/${file}`,
      may: 'content',
      why: 'rewritten by the account tools; its content is compared by hash',
    },
    { path: `/etc/${file}-`, may: 'content', why: 'rewritten with it; compared by hash, too' },
  ]),
  {
    path: '/run/systemd',
    may: 'runtime',
    why: 'systemd at work; units there are compared, see `neverNoise`',
  },
  { path: '/run/udev', may: 'runtime', why: 'devices' },
  { path: '/run/log', may: 'entries', why: 'journal in memory' },
  { path: '/run/utmp', may: 'content', why: 'who is logged in' },
  { path: '/run/dbus', may: 'runtime', why: 'the bus' },
  { path: '/run/NetworkManager', may: 'runtime', why: 'leases' },
  { path: '/run/chrony', may: 'runtime', why: 'clock' },
  { path: '/run/cloud-init', may: 'runtime', why: 'state of the boot' },
  { path: '/run/sudo/ts', may: 'entries', why: "the administrator's own time stamps" },
  { path: '/run/motd.dynamic', may: 'content', why: 'made at login' },
  { path: '/run/*.pid', may: 'content', why: 'services that were restarted' },
];

/** Below a noisy path, but never noise: what is here decides what runs. */
export const neverNoise: readonly string[] = [
  '/run/systemd/system',
  '/run/systemd/transient',
  '/run/systemd/generator',
  '/run/systemd/system.control',
  '/run/systemd/system.attached',
  '/run/udev/rules.d',
];

/** The scope of a login, made by logind for each: the administrator's own, too. */
const sessionScope = /^\/run\/systemd\/transient\/session-c?\d+\.scope(?:\.d(?:\/[^/]+)?)?$/;

/** Files whose content is compared by hash, because the account tools rewrite them for every job. */
export const hashedFiles: readonly string[] = [
  'passwd',
  'group',
  'shadow',
  'gshadow',
  'subuid',
  'subgid',
].flatMap((file) => [`/etc/${file}`, `/etc/${file}-`]);

/** Settings of the kernel by which whoever was root once stays it, or weakens the machine for those who follow. */
export const decidingSettings: readonly string[] = [
  'kernel/core_pattern',
  'kernel/hotplug',
  'kernel/modprobe',
  'kernel/poweroff_cmd',
  'kernel/randomize_va_space',
  'kernel/unprivileged_bpf_disabled',
  'kernel/yama/ptrace_scope',
  'fs/protected_hardlinks',
  'fs/protected_symlinks',
  'fs/suid_dumpable',
].map((name) => `/proc/sys/${name}`);

/** Private temporary directories that systemd makes for services that start on demand. */
export const systemdPrivateTmp = /^\/(?:tmp|var\/tmp)\/systemd-private-[^/]+(?:\/tmp)?$/;

/** The rule that excuses a change of this path, if any. The first one counts. */
export function ruleFor(path: string): NoiseRule | undefined {
  const decides = neverNoise.some((root) => path === root || path.startsWith(`${root}/`));
  if (decides && !sessionScope.test(path)) return undefined;
  return patterns.find(({ pattern }) => pattern.test(path))?.rule;
}

const patterns = noiseRules.map((rule) => {
  const escaped = rule.path.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return { rule, pattern: new RegExp(`^${escaped}(?:/.*)?$`, 's') };
});
