import { until, type Enclosure } from './enclosure.js';

/** What the unit of Debian's package does at a reload. */
export const nagiosReload = 'kill -HUP $(cat /run/nagios4/nagios4.pid)';

/** Debian's configuration in an enclosure's own `/etc/nagios4`, quick to show what it has, with one host of the site's. */
export async function startNagios(host: Enclosure): Promise<void> {
  await host.must(
    `sed -i 's/^status_update_interval=.*/status_update_interval=1/; s/^event_broker_options=.*/event_broker_options=0/; s/^use_syslog=.*/use_syslog=0/; ` +
      `s/^check_workers=.*//; $ a check_workers=1' /etc/nagios4/nagios.cfg
     cat >/etc/nagios4/objects/localhost.cfg <<'END'
define command {
  command_name dummy
  command_line /usr/lib/nagios/plugins/check_dummy 0
}
define host {
  host_name localhost
  address 127.0.0.1
  check_command dummy
  max_check_attempts 1
}
define service {
  host_name localhost
  service_description dummy
  check_command dummy
  max_check_attempts 1
}
END
     install -d -o nagios -g nagios /run/nagios4 /var/lib/nagios4 /var/lib/nagios4/rw /var/lib/nagios4/spool /var/lib/nagios4/spool/checkresults /var/log/nagios4 /var/log/nagios4/archives
     rm -f /var/lib/nagios4/rw/nagios.cmd
     nagios4 -d /etc/nagios4/nagios.cfg`,
  );
  await until('Nagios', async () => (await hostsInNagios(host)).includes('localhost'), 60_000);
}

/** Names of the hosts in its status data, sorted. */
export async function hostsInNagios(host: Enclosure): Promise<string[]> {
  const { words } = await host.run('cat /var/lib/nagios4/status.dat 2>/dev/null');
  return [...words.matchAll(/^hoststatus \{\n\thost_name=(.*)$/gm)].map(([, name]) => name ?? '').sort();
}
