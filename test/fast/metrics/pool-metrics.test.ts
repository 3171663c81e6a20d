import { describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CloudError, type Cloud } from '../../../src/cloud/port.js';
import { meteredCloud, meteredStore } from '../../../src/metrics/metered.js';
import { PoolMetrics } from '../../../src/metrics/pool-metrics.js';
import { metricsReference } from '../../../src/metrics/reference.js';
import { keyOf, Pool, shapeOf } from '../pool/fixture.js';

const metricsOf = (pool: Pool): PoolMetrics =>
  new PoolMetrics('p', () => ({ state: pool.state, now: pool.now, breakerAfter: 3, storeProblem: null }));

const valueOf = (text: string, series: string): number | null => {
  // The order of labels means nothing.
  const sorted = (name: string): string =>
    name.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join()}}`);
  const found = text
    .split('\n')
    .map((line) => /^(\S+) (\S+)$/.exec(line))
    .find((parts) => sorted(parts?.[1] ?? '') === sorted(series));
  return found === undefined ? null : Number(found?.[2]);
};

describe('the figures of a pool', () => {
  it('tell what is so at the moment of the scrape, and nothing of what was', async () => {
    const pool = new Pool(shapeOf({ min: 0, max: 4 }));
    const metrics = metricsOf(pool);
    pool.ask(keyOf('1.s'));
    pool.pass(7_000);
    const waiting = await metrics.text();
    expect(valueOf(waiting, 'vmpool_requests_waiting{pool="p"}')).toBe(1);
    expect(valueOf(waiting, 'vmpool_oldest_request_age_seconds{pool="p"}')).toBe(7);
    expect(valueOf(waiting, 'vmpool_members{state="Unusable",reason="building",pool="p"}')).toBe(1);
    expect(valueOf(waiting, 'vmpool_size_limit{bound="max",pool="p"}')).toBe(4);

    pool.event({
      type: 'release',
      release: { worker: 'w1', job: '1.s', attempt: null, reason: 'x', holdFor: null },
    });
    const after = await metrics.text();
    expect(valueOf(after, 'vmpool_requests_waiting{pool="p"}')).toBe(0);
    expect(valueOf(after, 'vmpool_oldest_request_age_seconds{pool="p"}')).toBe(0);
  });

  it('count waits, boots and moves as the core tells them', async () => {
    const metrics = metricsOf(new Pool());
    metrics.told({ at: 0, kind: 'lease', ms: 2_000, detail: '' });
    metrics.told({ at: 0, kind: 'staged', ms: 40, detail: '' });
    metrics.told({ at: 0, kind: 'vm', from: 'building', to: 'Free', ms: 12_000, detail: '' });
    metrics.told({ at: 0, kind: 'vm', from: 'Free', to: 'Busy', detail: '' });
    const text = await metrics.text();
    expect(valueOf(text, 'vmpool_lease_wait_seconds_sum{pool="p"}')).toBe(2);
    expect(valueOf(text, 'vmpool_lease_stage_seconds_sum{pool="p"}')).toBe(0.04);
    expect(valueOf(text, 'vmpool_member_boot_seconds_sum{pool="p"}')).toBe(12);
    expect(valueOf(text, 'vmpool_member_boot_seconds_count{pool="p"}')).toBe(1);
    expect(valueOf(text, 'vmpool_member_moves_total{from="Free",to="Busy",pool="p"}')).toBe(1);
  });

  it('name what the cloud and the store refused, and pass their errors on', async () => {
    const metrics = metricsOf(new Pool());
    const refusing = {
      quota: () => Promise.reject(new CloudError('rate-limited', 'slow down')),
    } as unknown as Cloud;
    await expect(meteredCloud(refusing, metrics).quota(new AbortController().signal)).rejects.toThrow(
      'slow down',
    );
    const store = meteredStore(
      { commit: () => Promise.reject(new Error('full')), close: () => Promise.resolve() },
      metrics,
    );
    await expect(store.commit({})).rejects.toThrow('full');
    const text = await metrics.text();
    expect(
      valueOf(text, 'vmpool_cloud_call_seconds_count{call="quota",outcome="rate-limited",pool="p"}'),
    ).toBe(1);
    expect(valueOf(text, 'vmpool_store_commit_seconds_count{outcome="failed",pool="p"}')).toBe(1);
  });
});

describe('what goes by the names', () => {
  const fileText = (path: string): string => readFileSync(join(process.cwd(), path), 'utf8');
  const known = async (): Promise<ReadonlySet<string>> => {
    const metrics = await metricsOf(new Pool()).registry.getMetricsAsJSON();
    return new Set(
      metrics.flatMap(({ name, type }) =>
        String(type) === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
      ),
    );
  };
  const namesIn = (text: string): readonly string[] => text.match(/\bvmpool_[a-z_]+\b/g) ?? [];

  it('the reference is what the registry says (UPDATE_REFERENCE=1 writes it)', async () => {
    const path = join(process.cwd(), 'docs/reference/metrics.md');
    const text = await metricsReference();
    if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(path, text);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('the alerts ask for figures that are there, and each says what to do', async () => {
    const names = await known();
    const rules = parse(fileText('config/prometheus/vmpool.rules.yaml')) as {
      groups: { rules: { alert: string; expr: string; annotations: { description: string } }[] }[];
    };
    const all = rules.groups.flatMap((group) => group.rules);
    expect(all.length).toBeGreaterThan(5);
    for (const rule of all) {
      expect(rule.annotations.description.length).toBeGreaterThan(30);
      for (const name of namesIn(rule.expr)) expect(names).toContain(name);
    }
  });

  it('the dashboard draws figures that are there', async () => {
    const names = await known();
    const dashboard = JSON.parse(fileText('config/grafana/vmpool.json')) as {
      panels: { targets: { expr: string }[] }[];
    };
    const exprs = dashboard.panels.flatMap((panel) => panel.targets.map(({ expr }) => expr));
    // Those of the pools that are chosen, which may be several.
    for (const expr of exprs) expect(expr.split('pool=~"$pool"').length - 1).toBe(namesIn(expr).length);
    const asked = exprs.flatMap(namesIn);
    expect(asked.length).toBeGreaterThan(10);
    for (const name of asked) expect(names).toContain(name);
  });
});
