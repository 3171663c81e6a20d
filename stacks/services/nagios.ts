import { z } from 'zod';
import { commonSettings, plainPath, siteCommand } from './host.js';
import type { HostPlan, ServiceInput, ServiceMember } from './plan.js';
import { shellQuote } from './shell.js';

const template = z.string().max(16_384);

export const nagiosSettings = z.strictObject({
  type: z.literal('nagios'),
  ...commonSettings,
  /** A directory that `mainConfig` names in a `cfg_dir`. */
  directory: plainPath.default('/etc/nagios4/conf.d'),
  mainConfig: plainPath.default('/etc/nagios4/nagios.cfg'),
  program: plainPath.default('/usr/sbin/nagios4'),
  plugins: plainPath.default('/usr/lib/nagios/plugins'),
  reload: siteCommand.default('systemctl reload nagios4'),
  /** Once, before the hosts: group and commands. Empty for the pool's own. */
  header: template.default(''),
  /** For each VM. Empty for the pool's own. */
  hostTemplate: template.default(''),
});
export type NagiosSettings = z.infer<typeof nagiosSettings>;

const defaultHeader = `define hostgroup {
    hostgroup_name  vmpool-@POOL@
    alias           VM Pool @POOL@
}
define command {
    command_name    vmpool-@POOL@-ping
    command_line    @PLUGINS@/check_ping -H $HOSTADDRESS$ -w 3000,80% -c 5000,100% -p 3
}
define command {
    command_name    vmpool-@POOL@-ssh
    command_line    @PLUGINS@/check_ssh -t 10 $HOSTADDRESS$
}
`;

const defaultHost = `define host {
    host_name               @NAME@
    address                 @ADDRESS@
    hostgroups              vmpool-@POOL@
    check_command           vmpool-@POOL@-ping
    max_check_attempts      3
    check_interval          5
    retry_interval          1
    notification_interval   0
    notes                   flavor @FLAVOR@, image @IMAGE@, cell @CELL@, generation @GENERATION@, born @BORN@
}
define service {
    host_name               @NAME@
    service_description     SSH
    check_command           vmpool-@POOL@-ssh
    max_check_attempts      3
    check_interval          5
    retry_interval          1
    notification_interval   0
}
`;

/**
 * A value in a directive of Nagios' object configuration: one line in which `;` begins no comment and `$` no macro
 * (Nagios Core's documentation, "Object Definitions" and "Standard Macros in Nagios"; a backslash before `;` keeps it,
 * one at the end of a line joins it with the next).
 */
export const nagiosValue = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex -- it is these that must not get in
    .replace(/[\u0000-\u001f\u007f\u2028\u2029]+/g, ' ')
    .replaceAll('\\', '/')
    .replaceAll('$', '$$$$')
    .replaceAll(';', '\\;')
    .trim();

const fill = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replace(/@([A-Z]+)@/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : nagiosValue(value);
  });

const valuesOf = (member: ServiceMember): Readonly<Record<string, string>> => ({
  NAME: member.name,
  ADDRESS: member.addresses[0] ?? '',
  FLAVOR: member.flavor,
  IMAGE: member.image,
  CELL: member.cell,
  GENERATION: member.generation,
  BORN: member.bornAt,
});

/** Our file, whole. A group without hosts would be refused, so without members there is nothing but the mark. Pure. */
export const nagiosConfig = (settings: NagiosSettings, input: ServiceInput, id: string): string => {
  const common = { POOL: input.pool, PLUGINS: settings.plugins };
  const header = settings.header === '' ? defaultHeader : settings.header;
  const host = settings.hostTemplate === '' ? defaultHost : settings.hostTemplate;
  const mark = `# vmpool:${id} writes this file; changes by hand are lost.\n`;
  if (input.members.length === 0) return mark;
  const lines = (text: string, values: Readonly<Record<string, string>>): string =>
    fill(text.endsWith('\n') ? text : `${text}\n`, { ...common, ...values });
  return mark + lines(header, {}) + input.members.map((member) => lines(host, valuesOf(member))).join('');
};

/** `nagios4 -v` on a picture of the main configuration in which only our file is the new one. */
const check = ({ mainConfig, directory, program }: NagiosSettings): string => `. "$VMPOOL_WORK/functions"
main=${shellQuote(mainConfig)} dir=${shellQuote(directory)}
grep -Eq "^[[:blank:]]*cfg_dir[[:blank:]]*=[[:blank:]]*$dir/?[[:blank:]]*$" "$main" || {
  echo "$main has no line cfg_dir=$dir: add it, or set directory to one that it has"; exit 1; }
picture=$(mktemp -d) || exit 1
trap 'rm -rf "$picture"' EXIT; trap 'exit 143' TERM INT HUP
vmpool_picture "$dir" "$picture/objects" || exit 1
sed -E "s#^[[:blank:]]*cfg_dir[[:blank:]]*=[[:blank:]]*$dir/?[[:blank:]]*\\$#cfg_dir=$picture/objects#;
  s#^([[:blank:]]*(cfg_file|cfg_dir|resource_file)[[:blank:]]*=[[:blank:]]*)([^/[:blank:]])#\\1$(dirname "$main")/\\3#" \\
  "$main" >"$picture/nagios.cfg" || exit 1
# Nagios reads it as its own account.
chmod -R a+rX "$picture"
verdict=$(${shellQuote(program)} -v "$picture/nagios.cfg" 2>&1) && exit 0
said=$(printf '%s\\n' "$verdict" | grep -iE '^[[:blank:]]*(error|warning|unable)' | head -n 10)
printf '%s\\n' "\${said:-$(printf '%s\\n' "$verdict" | tail -n 10)}" | sed "s#$picture/objects#$dir#g"
exit 1`;

/** Nagios writes its object cache anew when it has taken a configuration over. */
const confirm = ({
  mainConfig,
}: NagiosSettings): string => `cache=$(sed -n 's/^[[:blank:]]*object_cache_file[[:blank:]]*=[[:blank:]]*//p' ${shellQuote(mainConfig)} | tail -n 1)
[ -n "$cache" ] || exit 0
for n in $(seq 300); do [ "$cache" -nt "$VMPOOL_WORK/began" ] && exit 0; sleep 0.1; done
echo "$cache was not written anew within 30 s: Nagios does not run, or did not take the configuration over (its log says why)"
exit 1`;

export const planNagios = (settings: NagiosSettings, input: ServiceInput, id: string): HostPlan => ({
  files: [
    {
      path: `${settings.directory}/vmpool-${input.pool}.cfg`,
      text: nagiosConfig(settings, input, id),
      mode: '0644',
    },
  ],
  check: check(settings),
  reload: settings.reload,
  confirm: confirm(settings),
  rollback: null,
  hookLimitSeconds: 60,
});
