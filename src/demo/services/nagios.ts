import type { ServiceHost } from './service-host.js';
import type { Health, Seen, Watched } from './watched.js';

/** What a person wrote there beside what is ours: it stays as it is. */
const own = `define host {
    host_name       monitor
    address         127.0.0.1
    check_command   check_ping!3000,80%!5000,100%
    max_check_attempts 3
}
define service {
    host_name       monitor
    service_description Processes
    check_command   check_procs!250!400
    max_check_attempts 3
}
`;

/**
 * Debian's own configuration with times for an audience that waits: a unit of Nagios' time is ten seconds, its status is
 * written every second, first checks are not spread.
 */
const changes: Readonly<Record<string, string>> = {
  interval_length: '10',
  status_update_interval: '1',
  check_result_reaper_frequency: '1',
  host_inter_check_delay_method: 'n',
  service_inter_check_delay_method: 'n',
  use_syslog: '0',
  check_for_updates: '0',
};

const statusFile = '/var/lib/nagios4/status.dat';
const pidFile = '/var/run/nagios4/nagios4.pid';

/** Nagios on the services' host. */
export class Nagios implements Watched {
  readonly name = 'Nagios';
  /** Of the service, besides its host. A site with systemd leaves `reload` out. */
  readonly settings = { reload: `kill -HUP "$(cat ${pidFile})"` };

  private constructor(private readonly host: ServiceHost) {}

  static async start(host: ServiceHost): Promise<Nagios> {
    const edits = Object.entries(changes).map(([key, value]) => `-e '/^${key}=/d' -e '$ a ${key}=${value}'`);
    await host.run(
      `sed -i -e '/objects\\/localhost.cfg/d' ${edits.join(' ')} /etc/nagios4/nagios.cfg &&
       install -d -o nagios -g nagios /run/nagios4 /var/log/nagios4 /var/log/nagios4/archives &&
       cat >/etc/nagios4/conf.d/monitor.cfg && nagios4 -v /etc/nagios4/nagios.cfg && nagios4 -d /etc/nagios4/nagios.cfg &&
       for n in $(seq 600); do [ -s ${statusFile} ] && exit 0; sleep 0.1; done; cat /var/log/nagios4/nagios.log; exit 1`,
      own,
    );
    return new Nagios(host);
  }

  async look(): Promise<Seen> {
    const hosts = parseStatus(await this.host.run(`cat ${statusFile} 2>/dev/null || :`));
    hosts.delete('monitor');
    return { hosts, figures: null };
  }

  /** The host that a person wrote is still watched. */
  async keepsOthers(): Promise<boolean> {
    const text = await this.host.run(`cat /etc/nagios4/conf.d/monitor.cfg ${statusFile}`);
    return text.startsWith(own) && parseStatus(text.slice(own.length)).has('monitor');
  }
}

/** The hosts of Nagios' status file. A failure counts when Nagios itself is sure of it (a hard state). Pure. */
export const parseStatus = (text: string): Map<string, Health> => {
  const seen = new Map<string, Health>();
  for (const [, block = ''] of text.matchAll(/^hoststatus \{\n([^}]*)\}/gm)) {
    const value = (key: string): string => new RegExp(`^\\s*${key}=(.*)$`, 'm').exec(block)?.[1] ?? '';
    const up = value('current_state') === '0';
    const sure = value('state_type') === '1';
    const looked = value('has_been_checked') === '1';
    seen.set(value('host_name'), !looked ? 'unknown' : up ? 'up' : sure ? 'down' : 'unknown');
  }
  return seen;
};
