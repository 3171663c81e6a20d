import { count } from '../../cli/table.js';
import { serviceStackName } from '../../../stacks/services/registry.js';
import type { CloudControl } from '../../embedded/control.js';
import type { StatusView } from '../../http/api.js';
import { poolMin, poolName, writeShape } from '../place.js';
import type { Stage } from '../stage.js';
import { Onlooker } from './follow.js';
import { Ganglia } from './ganglia.js';
import { Nagios } from './nagios.js';
import { ServiceHost } from './service-host.js';
import { VmGmond } from './vm-gmond.js';
import type { Watched } from './watched.js';

/** Updates of services are gathered, checked and confirmed; on a slow machine a daemon alone takes many seconds. */
const limitMs = 240_000;
const grownTo = 4;
const sshPort = 2222;

/**
 * Daemons of a site on a host of their own, reached by SSH, which follow the pool while an operator makes it grow and
 * shrink by `pulumi up`.
 */
export class ServicesDemo {
  constructor(private readonly stage: Stage) {}

  /** Jobs of the demo, for programs: there are none. */
  costs(): readonly object[] {
    return [];
  }

  /** Resolves with everything that is not as it should be. */
  async run(): Promise<readonly string[]> {
    const { stage } = this;
    const { view, place } = stage;
    const control = await stage.openCloud();
    const address = place.subnet.replace(/0\.0\/16$/, '255.250');
    const host = await ServiceHost.start(place.directory, address, sshPort);
    stage.owns(async () => {
      await host.stop();
      return [];
    });
    const [nagios, ganglia] = await Promise.all([Nagios.start(host), Ganglia.start(host)]);
    const daemons: readonly Watched[] = [nagios, ganglia];
    view.line(
      `host of the services: Nagios and Ganglia's gmetad run there; reached by SSH at ${address}:${String(sshPort)}`,
    );
    const services = {
      nagios: { host: host.host, ...nagios.settings },
      ganglia: { host: host.host, ...ganglia.settings },
    };
    writeShape(place, { services });
    const pulumi = await stage.bringUpPool();
    const url = await stage.startService();
    const onlooker = new Onlooker(daemons, view);
    onlooker.start();
    stage.owns(async () => {
      await onlooker.stop();
      return [];
    });
    const follower = stage.follow(url, (status) => servicesScreen(status));
    const gmonds = new VmGmond({
      control,
      status: () => follower.status(),
      collector: { address, port: ganglia.collectorPort },
    });
    stage.owns(async () => {
      await gmonds.stop();
      return [];
    });
    try {
      await this.#shows(onlooker, poolMin);
      for (const min of [grownTo, poolMin]) {
        writeShape(place, { min });
        await stage.up(pulumi);
        view.line(`pulumi up: the pool's minimum is ${String(min)}`);
        await this.#shows(onlooker, min);
      }
      follower.stop();
      const status = await follower.status();
      const stacks = Object.keys(services).map((name) => serviceStackName(poolName, name));
      return [
        ...onlooker.alarms,
        ...gmonds.problems,
        ...(await changedForOthers(daemons)),
        ...(await strayServers(control, status)),
        ...(await stage.preview(pulumi, status, stacks)),
      ];
    } finally {
      follower.stop();
    }
  }

  /** Waits until the pool has so many Free VMs, and the daemons show exactly these. */
  async #shows(onlooker: Onlooker, vms: number): Promise<void> {
    await this.stage.untilStatus(
      `${count(vms, 'Free VM')}, and services that show exactly these as up`,
      limitMs,
      (status) =>
        status.members.length === vms &&
        status.counts.free === vms &&
        status.services.every(({ upToDate }) => upToDate) &&
        onlooker.missing(status).length === 0,
      (status) => [...status.problems, ...onlooker.missing(status)],
    );
    this.stage.view.line(`the services show ${count(vms, 'VM')}, as the pool has`);
  }
}

/** How far each service is, and why. Pure. */
const servicesScreen = (status: StatusView | null): readonly string[] => {
  if (status === null) return [];
  const { members, counts, services } = status;
  return [
    `pool: ${count(members.length, 'VM')}, ${String(counts.free)} Free`,
    ...services.map(
      ({ name, hosts, toAdd, toRemove, upToDate, lastError }) =>
        `${name}: ${count(hosts, 'host')}, ${String(toAdd)} to add, ${String(toRemove)} to remove` +
        `${upToDate ? ', up to date' : ''}${lastError === null ? '' : `: ${lastError}`}`,
    ),
  ];
};

const changedForOthers = async (daemons: readonly Watched[]): Promise<readonly string[]> => {
  const kept = await Promise.all(daemons.map((daemon) => daemon.keepsOthers()));
  return daemons
    .filter((_, n) => kept[n] !== true)
    .map(({ name }) => `what a person wrote for ${name} beside ours is not as it was`);
};

const strayServers = async (control: CloudControl, status: StatusView): Promise<readonly string[]> => {
  const members = new Set(status.members.map(({ name }) => name));
  return (await control.servers())
    .filter(({ name }) => !members.has(name))
    .map(({ name }) => `server ${name} that the pool does not know`);
};
