import { ServiceHost } from '../../src/demo/services/service-host.js';
import { until, type Ran } from '../services/enclosure.js';

/**
 * As the unit of Debian's package starts it, with less memory, one interpreter, and without a second look at the
 * byte code of its own archive.
 */
const start = `
install -d -o puppet -g puppet /run/puppetserver
printf 0 >/run/puppetserver/restart && chown puppet /run/puppetserver/restart
exec setpriv --reuid puppet --regid puppet --clear-groups java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote -Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger \
  -Djruby.lib=/usr/share/jruby/lib -jar /usr/share/puppetserver/puppetserver.jar \
  --config /etc/puppet/puppetserver/conf.d --bootstrap-config /etc/puppet/puppetserver/services.d \
  --restart-file /run/puppetserver/restart`;

/** A machine that has much else to do takes its time for a key or a look at its facts. */
const commandMs = 300_000;
const log = '/var/log/puppetserver/test.log';

/** The certificate authority with its server, known as `puppet`, on a host of its own that is reached by SSH. */
export class PuppetServer {
  private constructor(
    readonly host: ServiceHost,
    readonly address: string,
  ) {}

  /**
   * A host with a CA of its own and the line in puppet.conf that the guide asks for; the server is not started.
   *
   * @param directory an existing one.
   */
  static async open(directory: string, address: string, autosign: string): Promise<PuppetServer> {
    const ca = new PuppetServer(await ServiceHost.start(directory, address, 2222), address);
    try {
      await ca.#prepare(autosign);
      return ca;
    } catch (error) {
      await ca.stop();
      throw error;
    }
  }

  async #prepare(autosign: string): Promise<void> {
    await this.must(`
      printf '127.0.0.1 localhost\\n${this.address} puppet\\n' >/etc/hosts
      rm -rf /var/lib/puppet/ssl /var/log/puppetserver /etc/puppet/puppetserver/ca
      install -d -o puppet -g puppet /var/lib/puppet/ssl /var/log/puppetserver
      printf '[main]\\nserver = puppet\\ncertname = puppet\\nhttp_connect_timeout = 10s\\nkeylength = 2048\\n[server]\\nautosign = ${autosign}\\n' >/etc/puppet/puppet.conf
      sed -i 's/^ *gem-path/    max-active-instances: 1\\n&/; s/^profiler: {/&\\n enabled: false/' /etc/puppet/puppetserver/conf.d/puppetserver.conf
      sed -i 's/ssl-host: .*/ssl-host: ${this.address}/' /etc/puppet/puppetserver/conf.d/webserver.conf
      puppetserver ca setup`);
  }

  /** Until it answers. */
  async start(): Promise<void> {
    await this.host.run(
      `cat >/run/puppetserver.start; setsid sh /run/puppetserver.start >${log} 2>&1 </dev/null &
      echo $! >/run/puppetserver.pid`,
      start,
    );
    await until(
      'puppetserver',
      async () => {
        const { code, words } = await this.run(
          `grep -q ^1 /run/puppetserver/restart && exit 0
          status=/proc/$(cat /run/puppetserver.pid)/status
          grep -q '^State:.[^Z]' "$status" && exit 1
          cat ${log}; exit 2`,
        );
        if (code === 2) throw new Error(`puppetserver ended: ${words}`);
        return code === 0;
      },
      600_000,
    );
  }

  /** Ends the server and its host. */
  stop(): Promise<void> {
    return this.host.stop();
  }

  /** Runs a shell command on the CA's host to its end. */
  async run(command: string, input = ''): Promise<Ran> {
    const words = await this.host.run(`(${command}\n) 2>&1; printf ' %s' $?`, input, commandMs);
    const [, said = '', code] = /^([^]*) (\d+)$/.exec(words) ?? [];
    return { code: Number(code), words: said };
  }

  /** Runs it, with what it says on stdout; throws where it fails. */
  must(command: string): Promise<string> {
    return this.host.run(`set -e\n${command}`, '', commandMs);
  }

  /** One run of a real agent that has the directories of one machine. */
  agent(machine: string, certname: string): Promise<Ran> {
    return this.#puppet(
      machine,
      certname,
      'agent --onetime --no-daemonize --verbose --no-usecacheonfailure --detailed-exitcodes',
    );
  }

  /** Only the first thing that an agent does: ask for a certificate, once, and fetch it. */
  async join(machine: string, certname: string): Promise<boolean> {
    return (await this.#puppet(machine, certname, 'ssl bootstrap')).code === 0;
  }

  #puppet(machine: string, certname: string, command: string): Promise<Ran> {
    const own = `/run/vm/${machine}`;
    return this.run(
      `mkdir -p ${own} && puppet ${command} --waitforcert 0 --http_connect_timeout 10s --keylength 2048 --server puppet --certname ${certname} ` +
        `--confdir ${own}/etc --vardir ${own}/lib --ssldir ${own}/ssl --rundir ${own}/run --logdir ${own}/log`,
    );
  }

  /** Names with a certificate, sorted; the CA's own is left out. */
  async signed(): Promise<string[]> {
    const words = await this.must('ls /etc/puppet/puppetserver/ca/signed');
    return words
      .split('\n')
      .filter((name) => name.endsWith('.pem') && name !== 'puppet.pem')
      .map((name) => name.slice(0, -'.pem'.length))
      .sort();
  }
}

/** An agent run came to its end with a catalog: nothing to do, or all of it done. */
export const served = (agent: Ran): boolean => agent.code === 0 || agent.code === 2;
