import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../clock.js';
import type { Faults } from '../faults.js';
import { conflict, notFound } from '../http/errors.js';
import type { Images } from '../image/images.js';
import type { Machines, SshMode } from '../machines.js';
import type { NetworkState } from '../network/network.js';
import { drawFrom, type Flavor, type Quotas, type Timing } from '../options.js';
import type { Volumes } from '../volume/volumes.js';
import { attachBootVolume, imageOf } from './boot-volume.js';
import { checkCreate, type BootVolume, type CreateRequest, type NetworkChoice } from './create-request.js';
import type { ActionEvent, KeyPair, Server, ServerAction, ServerGroup, ServerStatus } from './model.js';

export interface Caller {
  readonly userId: string;
  readonly projectId: string;
  readonly requestId: string;
}

export interface ComputeParts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly timing: () => Timing;
  readonly quotasOf: (projectId: string) => Quotas;
  readonly faults: Faults;
  readonly images: Images;
  readonly network: NetworkState;
  readonly volumes: Volumes;
  /** Availability zones; the first is the default. */
  readonly zones: readonly string[];
  readonly machines: Machines;
  readonly flavors: readonly Flavor[];
}

/** Nova's servers and how they live: orders change their state at once or after the time that such things take. */
export class Compute {
  readonly servers = new Map<string, Server>();
  /** Servers that are gone: their action logs can still be read. */
  readonly gone = new Map<string, Server>();
  readonly keyPairs = new Map<string, KeyPair>();
  readonly groups = new Map<string, ServerGroup>();
  /** What lists showed when the last `stale` fault was ordered. */
  staleListing: readonly Server[] = [];
  readonly #work = new Set<Promise<void>>();
  #closed = false;

  constructor(readonly parts: ComputeParts) {
    parts.network.onAddressesChanged = (id) => {
      const server = this.servers.get(id);
      if (server?.machine) this.track(server.machine.setAddresses(parts.network.addressesOf(id)));
    };
  }

  /** Remembers work that runs on, so that stop() can wait for it; its failure is not the caller's. */
  track(work: Promise<unknown>): void {
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    this.#work.add(settled);
    void settled.finally(() => this.#work.delete(settled));
  }

  server(id: string, projectId: string | undefined): Server {
    const server = this.servers.get(id);
    if (!server || (projectId !== undefined && server.projectId !== projectId))
      throw notFound(`Instance ${id} could not be found.`);
    return server;
  }

  flavor(id: string): Flavor | undefined {
    return this.parts.flavors.find((flavor) => flavor.id === id);
  }

  usage(projectId: string): { instances: number; cores: number; ram: number } {
    const own = [...this.servers.values()].filter((server) => server.projectId === projectId);
    return {
      instances: own.length,
      cores: own.reduce((sum, server) => sum + server.flavor.vcpus, 0),
      ram: own.reduce((sum, server) => sum + server.flavor.ram, 0),
    };
  }

  log(server: Server, action: string, caller: Caller, event: string): () => void {
    const now = this.parts.clock.now();
    const entry: ActionEvent = { event, startAt: now, finishAt: null, result: null };
    const record: ServerAction = {
      action,
      requestId: caller.requestId,
      userId: caller.userId,
      projectId: caller.projectId,
      startAt: now,
      updatedAt: now,
      message: null,
      events: [entry],
    };
    server.actions.unshift(record);
    return () => {
      entry.finishAt = record.updatedAt = this.parts.clock.now();
      entry.result = server.status === 'ERROR' ? 'Error' : 'Success';
      if (server.status === 'ERROR') record.message = 'Error';
    };
  }

  create(request: CreateRequest, caller: Caller): Server {
    const { clock, faults } = this.parts;
    const { flavor, group, choices, securityGroups } = checkCreate(this, request, caller);
    const now = clock.now();
    const server: Server = {
      id: randomUUID(),
      name: request.name,
      projectId: caller.projectId,
      userId: caller.userId,
      status: 'BUILD',
      taskState: 'scheduling',
      flavor,
      formerFlavor: undefined,
      imageId: request.imageId,
      metadata: { ...request.metadata },
      tags: [...request.tags],
      description: request.description,
      keyName: request.keyName ?? null,
      configDrive: request.configDrive,
      userData: request.userData,
      createdAt: now,
      updatedAt: now,
      launchedAt: null,
      terminatedAt: null,
      fault: undefined,
      locked: false,
      lockedReason: null,
      availabilityZone: request.availabilityZone ?? this.parts.zones[0] ?? 'nova',
      securityGroups,
      serverGroupId: group?.id,
      actions: [],
      machine: undefined,
      timers: new Set(),
      epoch: 0,
    };
    this.servers.set(server.id, server);
    group?.members.push(server.id);
    const finish = this.log(server, 'create', caller, 'compute__do_build_and_run_instance');
    const special = faults.strikeServer('boot-time', server.name);
    const timing = this.parts.timing();
    const buildMs = special?.buildMs ?? drawFrom(timing.buildMs, this.parts.random);
    const sshMs = special?.sshMs ?? drawFrom(timing.sshMs, this.parts.random);
    this.later(server, buildMs * 0.1, () =>
      this.#networking(server, choices, request.bootVolume, caller, finish, buildMs * 0.9, sshMs),
    );
    return server;
  }

  #networking(
    server: Server,
    choices: readonly NetworkChoice[],
    bootVolume: BootVolume | null,
    caller: Caller,
    finish: () => void,
    restMs: number,
    sshMs: number,
  ): void {
    const { faults, network } = this.parts;
    if (faults.strikeServer('no-valid-host', server.name)) {
      this.fail(server, 'No valid host was found. There are not enough hosts available.', 500, finish);
      return;
    }
    this.change(server, 'BUILD', 'networking');
    try {
      for (const choice of choices) {
        if (choice.portId !== undefined) {
          const port = network.port(choice.portId);
          port.deviceId = server.id;
          port.deviceOwner = 'compute:nova';
          port.updatedAt = this.parts.clock.now();
        } else {
          network.createPort({
            networkId: choice.networkId ?? '',
            projectId: caller.projectId,
            securityGroups: server.securityGroups,
            fixedIps: choice.fixedIp === undefined ? undefined : [{ address: choice.fixedIp }],
            deviceId: server.id,
            deviceOwner: 'compute:nova',
            ownedByServer: true,
          });
        }
      }
      if (bootVolume !== null) {
        this.change(server, 'BUILD', 'block_device_mapping');
        attachBootVolume(this, server, bootVolume, caller);
      }
    } catch (error) {
      this.fail(
        server,
        `Build of instance ${server.id} aborted: ${error instanceof Error ? error.message : ''}`,
        500,
        finish,
      );
      return;
    }
    this.later(server, restMs * 0.2, () => this.#spawning(server, finish, restMs * 0.8, sshMs));
  }

  #spawning(server: Server, finish: () => void, restMs: number, sshMs: number): void {
    this.change(server, 'BUILD', 'spawning');
    if (this.parts.faults.strikeServer('stuck-in-build', server.name)) return;
    const broken = this.parts.faults.strikeServer('error-at-boot', server.name);
    if (broken) {
      this.later(server, restMs, () => this.fail(server, broken.message, broken.code, finish));
      return;
    }
    this.later(server, restMs, () => {
      this.run(
        server,
        async (current) => {
          await this.#makeMachine(server);
          if (!current()) return;
          server.launchedAt = this.parts.clock.now();
          this.change(server, 'ACTIVE', null);
          finish();
          this.later(server, sshMs, () => this.bootMachine(server));
        },
        finish,
      );
    });
  }

  async #makeMachine(server: Server): Promise<void> {
    const imageId = imageOf(this, server);
    const image = imageId === null ? undefined : this.parts.images.find(imageId);
    const key = server.keyName === null ? undefined : this.keyPairs.get(`${server.userId}/${server.keyName}`);
    const machine = await this.parts.machines.create({
      id: server.id,
      name: server.name,
      image: { id: image?.id ?? '', name: image?.name ?? 'volume' },
      addresses: this.parts.network.addressesOf(server.id),
      userData: server.userData,
      key: key && { name: key.name, publicKey: key.publicKey },
      metadata: server.metadata,
      projectId: server.projectId,
      availabilityZone: server.availabilityZone,
      ignoreUserData: this.parts.faults.strikeServer('no-user-data', server.name) !== undefined,
    });
    if (this.#closed || this.servers.get(server.id) !== server) await machine.end();
    else server.machine = machine;
  }

  /** Boots the machine of a running server; what it does not do by order of a fault is left undone. */
  bootMachine(server: Server): void {
    const mode: SshMode = this.parts.faults.strikeServer('ssh', server.name)?.mode ?? 'answer';
    if (server.machine) this.track(server.machine.boot(mode));
  }

  /** Runs a step that takes its own time; if it fails the server is in ERROR, with the reason as its fault. */
  run(server: Server, step: (current: () => boolean) => Promise<void>, finish: () => void): void {
    const epoch = server.epoch;
    const current = (): boolean => server.epoch === epoch && this.servers.get(server.id) === server;
    this.track(
      step(current).catch((error: unknown) => {
        if (current()) this.fail(server, error instanceof Error ? error.message : String(error), 500, finish);
      }),
    );
  }

  later(server: Server, delayMs: number, action: () => void): void {
    const epoch = server.epoch;
    const cancel = this.parts.clock.after(delayMs, () => {
      server.timers.delete(cancel);
      if (server.epoch === epoch) action();
    });
    server.timers.add(cancel);
  }

  change(server: Server, status: ServerStatus, taskState: string | null): void {
    server.status = status;
    server.taskState = taskState;
    server.updatedAt = this.parts.clock.now();
  }

  fail(server: Server, message: string, code: number, finish: () => void): void {
    server.fault = { message, code, created: this.parts.clock.now() };
    this.change(server, 'ERROR', null);
    finish();
  }

  cancelTimers(server: Server): void {
    server.epoch += 1;
    for (const cancel of server.timers) cancel();
    server.timers.clear();
  }

  /** Orders the end of a server: it shows its deleting task, and is gone after the time that takes. */
  delete(server: Server, caller: Caller): void {
    if (server.locked) throw conflict(`Instance ${server.id} is locked`);
    if (server.taskState === 'deleting') return;
    this.cancelTimers(server);
    this.change(server, server.status, 'deleting');
    const finish = this.log(server, 'delete', caller, 'compute_terminate_instance');
    if (this.parts.faults.strikeServer('delete-hangs', server.name)) {
      const epoch = server.epoch;
      this.parts.faults.onCleared(() => {
        if (server.epoch === epoch) this.#finishDelete(server, finish);
      });
      return;
    }
    this.later(server, drawFrom(this.parts.timing().deleteMs, this.parts.random), () =>
      this.#finishDelete(server, finish),
    );
  }

  #finishDelete(server: Server, finish: () => void): void {
    server.epoch += 1;
    const machine = server.machine;
    server.machine = undefined;
    const remove = (): void => {
      const { network, clock } = this.parts;
      for (const port of network.portsOf(server.id)) {
        if (port.ownedByServer) network.deletePort(port);
        else {
          port.deviceId = '';
          port.deviceOwner = '';
          for (const floating of network.floatingIps.values())
            if (floating.portId === port.id) network.associate(floating, null);
        }
      }
      this.parts.volumes.release(server.id);
      const group = server.serverGroupId === undefined ? undefined : this.groups.get(server.serverGroupId);
      if (group)
        group.members.splice(
          0,
          group.members.length,
          ...group.members.filter((member) => member !== server.id),
        );
      server.status = 'DELETED';
      server.taskState = null;
      // Nova's records of them go with the server, while its own stays.
      server.metadata = {};
      server.terminatedAt = clock.now();
      finish();
      this.servers.delete(server.id);
      this.gone.set(server.id, server);
      if (this.gone.size > 5000) for (const id of [...this.gone.keys()].slice(0, 1000)) this.gone.delete(id);
    };
    if (machine) this.track(machine.end().finally(remove));
    else remove();
  }

  /** Ends the machine of a server and makes a new one from its image, with new host keys. */
  async replaceMachine(server: Server, current: () => boolean): Promise<void> {
    await server.machine?.end();
    server.machine = undefined;
    if (current()) await this.#makeMachine(server);
  }

  /** Ends all machines and waits for what is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const server of this.servers.values()) this.cancelTimers(server);
    await Promise.all(this.#work);
    await Promise.all([...this.servers.values()].map(async (server) => server.machine?.end()));
    await Promise.all(this.#work);
  }
}

export function newRequestId(): string {
  return `req-${randomUUID()}`;
}

export function newPassword(): string {
  return randomBytes(9).toString('base64url');
}
