import { z } from 'zod';
import { commonSettings, plainPath } from './host.js';
import type { HostPlan, ServiceInput, ServiceMember } from './plan.js';
import { puppetCheck, puppetReload, puppetVerify } from './puppet-hooks.js';
import { policyProgram, rubyString } from './puppet-policy.js';
import { shellQuote } from './shell.js';

/** Settings of the service kind `puppet`. */
export const puppetSettings = z.strictObject({
  type: z.literal('puppet'),
  ...commonSettings,
  /** Ours; list and policy are in a directory of the pool's name there. */
  directory: plainPath.default('/etc/puppet/vmpool'),
  /** A VM's certname; `@NAME@` is the VM's name. */
  certname: z
    .string()
    .max(180)
    .regex(/^@NAME@(\.[a-z0-9-]+)*$/, 'is not @NAME@, or @NAME@ and a domain in lower case')
    .default('@NAME@'),
  /** The request must name the server's id in the cloud as its `pp_instance_id`. */
  serverId: z.boolean().default(false),
  /** File on the CA's host: the request's challenge password must be its content. */
  challengeFile: plainPath.optional(),
  /** The site's own policy or autosign.conf, for every name that no VM of the pool can have. */
  otherwise: plainPath.optional(),
  /** That of the CA's server, which calls the policy. */
  account: z
    .string()
    .regex(/^[a-z_][a-z0-9_.-]*$/i, 'is no account name')
    .default('puppet'),
  puppet: plainPath.default('/usr/bin/puppet'),
  puppetserver: plainPath.default('/usr/bin/puppetserver'),
  ruby: plainPath.default('/usr/bin/ruby'),
  hookLimitSeconds: z.int().min(10).max(600).default(120),
});
export type PuppetSettings = z.infer<typeof puppetSettings>;

const certnameOf = ({ certname }: PuppetSettings, { name }: ServiceMember): string =>
  certname.replace('@NAME@', name);

/** Nova's ids are UUIDs; another word could not be told from what it is beside, and is nobody's. */
const serverWord = (id: string | null): string =>
  id !== null && /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/.test(id) ? id : '-';

/** Seconds of the epoch, rounded down: a certificate of the same second is the VM's own. A new disk has a new key. */
const bornSeconds = ({ bornAt, diskSince }: ServiceMember): string => {
  const ms = Date.parse(diskSince ?? bornAt);
  return String(Number.isFinite(ms) && ms > 0 ? Math.floor(ms / 1000) : 0);
};

/** A line for each member: certname, birth of its disk (seconds of the epoch), server's id or `-`. Pure. */
export const puppetMembers = (settings: PuppetSettings, input: ServiceInput, id: string): string =>
  [
    `# vmpool:${id} writes this file; changes by hand are lost.`,
    ...input.members.map((member) =>
      [certnameOf(settings, member), bornSeconds(member), serverWord(member.serverId)].join(' '),
    ),
    '',
  ].join('\n');

/** The policy with the settings in it. Pure. */
export const puppetPolicy = (settings: PuppetSettings, pools: readonly string[], id: string): string => {
  const maybe = (path: string | undefined): string => (path === undefined ? 'nil' : rubyString(path));
  const [, domain = ''] = settings.certname.split('@NAME@');
  return [
    `#!${settings.ruby}`,
    `# vmpool:${id} writes this file; changes by hand are lost.`,
    `SERVER_ID = ${String(settings.serverId)}`,
    `CHALLENGE = ${maybe(settings.challengeFile)}`,
    `OTHERWISE = ${maybe(settings.otherwise)}`,
    `POOLS = ${rubyString(`${settings.directory}/`)}`,
    // Names as a pool makes them: its own, a number, a suffix.
    `OURS = Regexp.new('\\A(?:' + Regexp.union(${pools.map(rubyString).join(', ')}).source + ')-\\d+-[a-z0-9]+' + Regexp.escape(${rubyString(domain)}) + '\\z')`,
    policyProgram.trimStart(),
  ].join('\n');
};

/** Puppet's certificate authority: who is signed by itself, and whose certificate ends. Pure. */
export const planPuppet = (settings: PuppetSettings, input: ServiceInput, id: string): HostPlan => {
  const own = `${settings.directory}/${input.pool}`;
  const variables = [
    `autosign=${shellQuote(`${own}/autosign`)}`,
    `list=${shellQuote(`${own}/members`)}`,
    `stranger=${shellQuote(settings.certname.replace('@NAME@', `${input.pool}-0-stranger`))}`,
    `account=${shellQuote(settings.account)}`,
    `puppet=${shellQuote(settings.puppet)}`,
    `puppetserver=${shellQuote(settings.puppetserver)}`,
  ].join('\n');
  return {
    files: [
      { path: `${own}/members`, text: puppetMembers(settings, input, id), mode: '0644' },
      {
        path: `${own}/autosign`,
        text: puppetPolicy(settings, input.pools ?? [input.pool], id),
        mode: '0755',
      },
    ],
    check: variables + puppetCheck,
    reload: variables + puppetReload,
    confirm: null,
    // The old list is read at the next request; what could not be revoked is tried again with the newest one.
    rollback: 'true',
    verify: variables + puppetVerify,
    hookLimitSeconds: settings.hookLimitSeconds,
  };
};
