import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Client } from '../../src/http/client.js';
import { createClient } from '../../src/http/client.js';
import type { ServiceProcess } from '../support/service-process.js';
import { startServiceProcess } from '../support/service-process.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, jobRequest, openSite } from '../support/site.js';

interface Settings {
  listen: { port: number };
  auth: { tokens: Record<string, unknown>[] };
  engine: Record<string, unknown>;
  policy: Record<string, unknown>;
}

interface ReloadLine {
  readonly event: string;
  readonly msg: string;
  readonly applied?: readonly string[];
  readonly needsRestart?: readonly string[];
  readonly errors?: readonly string[];
}

describe('SIGHUP', () => {
  let site: EmbeddedSite;
  let service: ServiceProcess;
  let worker: Client;
  let viewer: Client;
  let before: string;
  let lease: string;
  const viewerToken = 'v'.repeat(40);

  const reloads = (): ReloadLine[] =>
    service.logged
      .filter((line) => line.includes('"event":"reload"'))
      .map((line) => JSON.parse(line) as ReloadLine);
  /** Changes the file, sends the signal and waits for what the service says to it. */
  const reload = async (text: string): Promise<ReloadLine> => {
    const said = reloads().length;
    writeFileSync(site.configFile, text);
    process.kill(service.pid, 'SIGHUP');
    return eventually('an answer to SIGHUP', 10_000, () => reloads()[said]);
  };
  const changed = (change: (settings: Settings) => void): string => {
    const settings = parse(before) as Settings;
    change(settings);
    return stringify(settings);
  };
  const withViewer = (settings: Settings): void => {
    settings.auth.tokens.push({ name: 'eyes', role: 'viewer', tokenFile: 'viewer.token' });
    settings.policy['reuse'] = 'never';
    settings.engine['adoptEvery'] = '1s';
    settings.listen.port = 1;
  };

  beforeAll(async () => {
    site = await openSite({ subnet: '127.119.0.0/16', shape: { min: 1, max: 1 } });
    before = readFileSync(site.configFile, 'utf8');
    writeFileSync(join(site.directory, 'viewer.token'), viewerToken, { mode: 0o600 });
    await site.shape({});
    service = await startServiceProcess(site);
    worker = createClient({ url: service.url, token: site.tokens.worker });
    viewer = createClient({ url: service.url, token: viewerToken });
    ({ id: lease } = await worker.request(jobRequest(1)));
    await eventually('a ready lease', 90_000, async () => {
      const { ready } = await worker.lease(lease, { waitSeconds: 5, until: 'ready' });
      return ready;
    });
  }, 180_000);
  afterAll(async () => {
    worker.close();
    viewer.close();
    await service.stop();
    await site.close();
  }, 180_000);

  it('takes over tokens and policy, tells what waits for a restart, and leaves the lease', async () => {
    await expect(viewer.status()).rejects.toMatchObject({ code: 'unauthorised' });
    expect(await reload(changed(withViewer))).toMatchObject({
      applied: ['auth.tokens', 'engine.adoptEvery', 'policy.reuse'],
      needsRestart: ['listen.port'],
    });
    expect((await viewer.status()).leases).toEqual([expect.objectContaining({ id: lease, ready: true })]);
    expect(await worker.lease(lease)).toMatchObject({ state: 'granted', ready: true });
  });

  it('keeps what is in force when the file is wrong, and logs every error with its line', async () => {
    const wrong = changed((settings) => {
      settings.policy['bootLimit'] = 90;
      settings.engine['maxParalel'] = 1;
      settings.auth.tokens = [];
    });
    const { errors, msg } = await reload(wrong);
    expect(msg).toContain('nothing was changed');
    expect(errors).toEqual(
      [
        /:\d+: auth\.tokens: needs at least one token/,
        /:\d+: engine\.maxParalel: unknown key; did you mean maxParallel\?/,
        /:\d+: policy\.bootLimit: a time with its unit/,
      ].map((pattern) => expect.stringMatching(pattern) as unknown),
    );
    expect((await viewer.status()).leases).toHaveLength(1);
    expect(await reload('pool: [')).toMatchObject({ msg: expect.stringContaining('nothing was changed') });
    expect(await worker.lease(lease)).toMatchObject({ state: 'granted', ready: true });
  });

  it('acts by the new policy from then on, and takes a token away with the next change', async () => {
    const used = (await worker.lease(lease)).vm?.member;
    expect(used).toBeDefined();
    await worker.release({ job: '1.site', attempt: jobRequest(1).attempt });
    await eventually('the used VM to be replaced', 120_000, async () => {
      const { members } = await viewer.status();
      return members.length === 1 && members.every(({ name, state }) => name !== used && state === 'Free');
    });
    expect(await reload(before)).toMatchObject({
      applied: ['auth.tokens', 'engine.adoptEvery', 'policy.reuse'],
      needsRestart: [],
    });
    await expect(viewer.status()).rejects.toMatchObject({ code: 'unauthorised' });
    expect(await worker.node()).toMatchObject({ ok: true });
  }, 150_000);
});
