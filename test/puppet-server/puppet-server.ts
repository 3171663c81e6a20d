import { type Ran, until } from '../services/enclosure.js';

/** Where the server runs: an enclosure, or a host with SSH. */
export interface ServerPlace {
  run(command: string): Promise<Ran>;
  /** Throws where it fails. */
  must(command: string): Promise<string>;
}

/** What Debian's packages keep their things in; all of it is the enclosure's own. */
export const puppetDirectories = [
  '/etc/puppet',
  '/var/lib/puppetserver',
  '!/var/lib/puppet',
  '!/var/log/puppetserver',
  '!/run',
  '!/var/lib/vmpool-services',
];

/** As the unit of Debian's package starts it, with less memory and one interpreter, since a test has one caller. */
const start = `
. /etc/default/puppetserver
install -d -o puppet -g puppet /run/puppetserver
printf 0 >/run/puppetserver/restart && chown puppet /run/puppetserver/restart
echo $$ >/run/puppetserver.pid
exec setpriv --reuid puppet --regid puppet --clear-groups java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger -Djruby.lib=/usr/share/jruby/lib \
  -jar /usr/share/puppetserver/puppetserver.jar --config /etc/puppet/puppetserver/conf.d \
  --bootstrap-config /etc/puppet/puppetserver/services.d --restart-file /run/puppetserver/restart`;

/** The certificate authority with its server, known as `puppet` at its address. */
export class PuppetServer {
  constructor(
    readonly host: ServerPlace,
    readonly address = '127.0.0.1',
  ) {}

  /** Once: a CA of its own, and the line in puppet.conf that the guide asks for. */
  async prepare(autosign: string): Promise<void> {
    await this.host.must(`
      printf '127.0.0.1 localhost\\n${this.address} puppet\\n' >/run/hosts && mount --bind /run/hosts /etc/hosts
      install -d -o puppet -g puppet /var/lib/puppet/ssl
      printf '[main]\\nserver = puppet\\ncertname = puppet\\nhttp_connect_timeout = 10s\\n[server]\\nautosign = ${autosign}\\n' >/etc/puppet/puppet.conf
      sed -i 's/^ *gem-path/    max-active-instances: 1\\n&/; s/^profiler: {/&\\n enabled: false/' /etc/puppet/puppetserver/conf.d/puppetserver.conf
      sed -i 's/ssl-host: .*/ssl-host: ${this.address}/' /etc/puppet/puppetserver/conf.d/webserver.conf
      puppetserver ca setup`);
  }

  async start(): Promise<void> {
    await this.host.must(`(${start}\n) >/var/log/puppetserver/test.log 2>&1 </dev/null &`);
    await until(
      'puppetserver',
      async () => (await this.host.run('grep -q ^1 /run/puppetserver/restart')).code === 0,
      500_000,
    );
  }

  /** One run of a real agent that has the directories of one VM. */
  agent(vm: string, certname: string): Promise<Ran> {
    return this.#puppet(
      vm,
      certname,
      'agent --onetime --no-daemonize --verbose --no-usecacheonfailure --detailed-exitcodes',
    );
  }

  /** Only the first thing that an agent does: ask for a certificate, once, and fetch it. */
  async join(vm: string, certname: string): Promise<boolean> {
    return (await this.#puppet(vm, certname, 'ssl bootstrap')).code === 0;
  }

  #puppet(vm: string, certname: string, command: string): Promise<Ran> {
    const own = `/run/vm/${vm}`;
    return this.host.run(
      `mkdir -p ${own} && puppet ${command} --waitforcert 0 --http_connect_timeout 10s --server puppet --certname ${certname} ` +
        `--confdir ${own}/etc --vardir ${own}/lib --ssldir ${own}/ssl --rundir ${own}/run --logdir ${own}/log`,
    );
  }

  /** Names with a certificate, sorted; the CA's own is left out. */
  async signed(): Promise<string[]> {
    const { words } = await this.host.run('ls /etc/puppet/puppetserver/ca/signed');
    return words
      .split('\n')
      .filter((name) => name.endsWith('.pem') && name !== 'puppet.pem')
      .map((name) => name.slice(0, -'.pem'.length))
      .sort();
  }
}
