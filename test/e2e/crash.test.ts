import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../src/http/client.js';
import { createClient } from '../../src/http/client.js';
import type { ServiceProcess } from '../support/service-process.js';
import { startServiceProcess } from '../support/service-process.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, jobRequest, openSite } from '../support/site.js';

describe('a service that is killed while it scales up', () => {
  let site: EmbeddedSite;
  let service: ServiceProcess;
  let worker: Client;
  let operator: Client;

  const open = async (): Promise<void> => {
    service = await startServiceProcess(site);
    worker = createClient({ url: service.url, token: site.tokens.worker });
    operator = createClient({ url: service.url, token: site.tokens.operator });
  };
  const crash = async (): Promise<void> => {
    worker.close();
    operator.close();
    await service.kill();
  };

  beforeAll(async () => {
    site = await openSite({ subnet: '127.107.0.0/16', shape: { min: 0, max: 4 } });
    await site.shape({});
    await open();
  }, 120_000);
  afterAll(async () => {
    worker.close();
    operator.close();
    await service.stop();
    await site.close();
  }, 180_000);

  it('loses no request and no lease, makes no VM twice and leaks none', async () => {
    const ids: string[] = [];
    // Before the engine has begun, between Nova's POST and Pulumi's end, and with leases given.
    for (const [n, delayMs] of [300, 3_000, 7_000].entries()) {
      const asked = await worker.request(jobRequest(n + 1));
      ids.push(asked.id);
      await sleep(delayMs);
      await crash();
      await open();
      for (const id of ids) expect(['waiting', 'granted']).toContain((await worker.lease(id)).state);
    }
    const hosts = new Set<string | undefined>();
    for (const [n, id] of ids.entries()) {
      // The same request again, as a prologue that lost its answer would send it.
      expect((await worker.request(jobRequest(n + 1))).id).toBe(id);
      const ready = await eventually(`lease ${n + 1} ready`, 120_000, async () => {
        const view = await worker.lease(id, { waitSeconds: 5, until: 'ready' });
        return view.ready ? view : undefined;
      });
      hosts.add(ready.vm?.host);
    }
    expect(hosts.size).toBe(3);
    expect((await site.control.servers()).length).toBeLessThanOrEqual(4);

    for (const n of [1, 2, 3]) await worker.release({ job: `${n}.site`, attempt: jobRequest(n).attempt });
    await eventually('an empty pool', 150_000, async () => (await operator.status()).members.length === 0);
    await eventually('an empty cloud', 20_000, async () => (await site.control.servers()).length === 0);
    const { cells, problems } = await operator.status();
    expect(problems).toEqual([]);
    for (const cell of cells) {
      expect(await site.plain(cell.stack, ['preview', '--expect-no-changes'])).toMatchObject({ code: 0 });
    }
  }, 500_000);

  it('refuses a second service on the same state, naming the first', async () => {
    await expect(startServiceProcess(site)).rejects.toThrow(new RegExp(`pid ${service.pid}`));
  }, 60_000);

  it('stops on SIGTERM with exit code 0', async () => {
    worker.close();
    operator.close();
    expect(await service.stop()).toBe(0);
    await open();
  }, 60_000);
});
