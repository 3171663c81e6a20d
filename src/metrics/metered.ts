import type { Cloud } from '../cloud/port.js';
import { CloudError } from '../cloud/port.js';
import type { Engine, UpdateFailure } from '../engine/port.js';
import type { Guest } from '../guest/port.js';
import type { Store } from '../store/port.js';
import type { PoolMetrics } from './pool-metrics.js';

/** The parts of a pool with their calls timed and counted; what they do is the same. */

const timed = async <T>(work: () => Promise<T>, told: (error: unknown, ms: number) => void): Promise<T> => {
  const began = performance.now();
  try {
    const value = await work();
    told(null, performance.now() - began);
    return value;
  } catch (error) {
    told(error, performance.now() - began);
    throw error;
  }
};

export const meteredStore = <T>(store: Store<T>, metrics: PoolMetrics): Store<T> => ({
  commit: (document) =>
    timed(
      () => store.commit(document),
      (error, ms) => {
        metrics.committed(error === null ? 'ok' : 'failed', ms);
      },
    ),
  close: () => store.close(),
});

export const meteredCloud = (cloud: Cloud, metrics: PoolMetrics): Cloud => {
  const call = <T>(name: string, work: () => Promise<T>): Promise<T> =>
    timed(work, (error, ms) => {
      const outcome = error === null ? 'ok' : error instanceof CloudError ? error.kind : 'failed';
      metrics.cloudCalled(name, outcome, ms);
    });
  return {
    listOurs: (signal) => call('list_servers', () => cloud.listOurs(signal)),
    listChanged: (signal) => call('list_changed_servers', () => cloud.listChanged(signal)),
    tagsAtCreate: (signal) => call('versions', () => cloud.tagsAtCreate(signal)),
    server: (id, signal) => call('show_server', () => cloud.server(id, signal)),
    deleteServer: (id, signal) => call('delete_server', () => cloud.deleteServer(id, signal)),
    rebuildServer: (id, image, signal) =>
      call('rebuild_server', () => cloud.rebuildServer(id, image, signal)),
    consoleLog: (id, lines, signal) => call('console_log', () => cloud.consoleLog(id, lines, signal)),
    quota: (signal) => call('quota', () => cloud.quota(signal)),
    floatingIps: (signal) => call('list_floating_ips', () => cloud.floatingIps(signal)),
    floatingIp: (id, signal) => call('show_floating_ip', () => cloud.floatingIp(id, signal)),
    releaseFloatingIp: (id, signal) => call('release_floating_ip', () => cloud.releaseFloatingIp(id, signal)),
    actions: (id, signal) => call('server_actions', () => cloud.actions(id, signal)),
    flavor: (name, signal) => call('flavor', () => cloud.flavor(name, signal)),
    image: (name, signal) => call('image', () => cloud.image(name, signal)),
    network: (name, signal) => call('network', () => cloud.network(name, signal)),
  };
};

export const meteredEngine = (engine: Engine, metrics: PoolMetrics): Engine => ({
  converge: async (wish, onEvent, signal) => {
    const began = performance.now();
    let failure: UpdateFailure | null = 'engine';
    try {
      const result = await engine.converge(wish, onEvent, signal);
      failure = result.ok ? null : result.kind;
      return result;
    } finally {
      metrics.updated(wish.cell, failure, performance.now() - began);
    }
  },
  poolOutputs: (signal) => engine.poolOutputs(signal),
  cells: (signal) => engine.cells(signal),
  poolConfig: (signal) => engine.poolConfig(signal),
  updatePool: (wish, signal) => engine.updatePool(wish, signal),
  publishSummary: (members, signal) => engine.publishSummary(members, signal),
  updateService: (wish, signal) => engine.updateService(wish, signal),
  removeService: (service, signal) => engine.removeService(service, signal),
  listServices: (signal) => engine.listServices(signal),
  preview: (wish, signal) => engine.preview(wish, signal),
  close: () => engine.close(),
});

export const meteredGuest = (guest: Guest, metrics: PoolMetrics): Guest => ({
  probe: async (target, signal) => {
    const result = await guest.probe(target, signal);
    if (!signal.aborted) metrics.probed(result.ok ? 'ok' : result.step);
    return result;
  },
  knock: (target, signal) => guest.knock(target, signal),
  contract: (target, signal) => guest.contract(target, signal),
  takeBaseline: (target, signal) => guest.takeBaseline(target, signal),
  stage: (target, order, signal) => guest.stage(target, order, signal),
  scrub: async (target, lease, signal) => {
    const result = await guest.scrub(target, lease, signal);
    if (!signal.aborted) metrics.scrubbed(result.ok ? 'ok' : result.kind);
    return result;
  },
  measure: (target, lease, signal) => guest.measure(target, lease, signal),
  forget: (member) => guest.forget(member),
  keepOnly: (members) => guest.keepOnly(members),
  close: () => guest.close(),
});
