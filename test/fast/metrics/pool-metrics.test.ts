import { describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CloudError, type Cloud } from '../../../src/cloud/port.js';
import { meteredCloud, meteredStore } from '../../../src/metrics/metered.js';
import { PoolMetrics } from '../../../src/metrics/pool-metrics.js';
import { metricsReference } from '../../../src/metrics/reference.js';
import { repoRoot } from '../../../src/repo-root.js';
import { jobEnds } from '../../../src/pool/measured.js';
import { lifecycle } from '../../../src/pool/lifecycle.js';
import { vmFailures } from '../../../src/pool/failures.js';
import { updateFailures } from '../../../src/engine/port.js';
import { problemKinds } from '../../../src/http/problem.js';
import { routes } from '../../../src/http/routes.js';
import { HttpMetrics, leaseRoute } from '../../../src/metrics/http-metrics.js';
import { keyOf, Pool, shapeOf } from '../pool/fixture.js';
import { valueOf } from './exposition.js';

const metricsOf = (pool: Pool): PoolMetrics =>
  new PoolMetrics('p', () => ({ state: pool.state, now: pool.now, breakerAfter: 3, storeProblem: null }));

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
  const fileText = (path: string): string => readFileSync(join(repoRoot, path), 'utf8');
  /** Labels by the name of a series. */
  const known = async (): Promise<ReadonlyMap<string, readonly string[]>> => {
    const all = new Map<string, readonly string[]>();
    for (const [registry, common] of [
      [metricsOf(new Pool()).registry, ['pool']],
      [new HttpMetrics().registry, []],
    ] as const) {
      for (const { name, type } of await registry.getMetricsAsJSON()) {
        const metric: object = registry.getSingleMetric(name) ?? {};
        const own = 'labelNames' in metric ? (metric.labelNames as string[]) : [];
        const labels = [...common, ...own];
        if (String(type) !== 'histogram') all.set(name, labels);
        else {
          all.set(`${name}_bucket`, [...labels, 'le']);
          for (const part of ['sum', 'count']) all.set(`${name}_${part}`, labels);
        }
      }
    }
    return all;
  };
  const places = Object.keys(lifecycle);
  /** Values of the labels that have a fixed set of them. */
  const values: Readonly<Record<string, readonly string[]>> = {
    'vmpool_members state': ['Free', 'Busy', 'Unusable'],
    'vmpool_members reason': places.filter((place) => place !== 'Free' && place !== 'Busy'),
    'vmpool_size_limit bound': ['min', 'max', 'spare'],
    'vmpool_quota bound': ['used', 'limit'],
    'vmpool_jobs_ended_total end': jobEnds,
    'vmpool_scrubs_total outcome': ['ok', 'dirty', 'unreachable', 'foreign-marker'],
    'vmpool_member_failures_total reason': Object.keys(vmFailures),
    'vmpool_cell_update_failures_total reason': Object.keys(updateFailures),
    'vmpool_http_refusals_total reason': Object.keys(problemKinds),
    'vmpool_http_refusals_total route': routes.map(({ method, path }) => `${method} ${path}`),
  };
  interface Selector {
    readonly name: string;
    readonly matchers: readonly { readonly label: string; readonly op: string; readonly value: string }[];
  }
  const selectorsIn = (expr: string): readonly Selector[] =>
    [...expr.matchAll(/\b(vmpool_[a-z_]+)(?:\{([^}]*)\})?/g)].map(([, name = '', within = '']) => ({
      name,
      matchers: [...within.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(
        ([, label = '', op = '', value = '']) => ({ label, op, value }),
      ),
    }));
  /** What a query asks for that there is not. */
  const absentIn = (expr: string, all: ReadonlyMap<string, readonly string[]>): readonly string[] =>
    selectorsIn(expr).flatMap(({ name, matchers }) => {
      const labels = all.get(name);
      if (labels === undefined) return [name];
      return matchers.flatMap(({ label, op, value }) => {
        if (!labels.includes(label)) return [`${name}{${label}}`];
        const possible = values[`${name} ${label}`];
        const asked = op.endsWith('~') ? value.split('|') : [value];
        if (label === 'pool') return [];
        if (possible === undefined) return [`${name}{${label}="${value}"}: no list of its values here`];
        return asked.filter((one) => !possible.includes(one)).map((one) => `${name}{${label}="${one}"}`);
      });
    });

  it('the reference is what the registry says (UPDATE_REFERENCE=1 writes it)', async () => {
    const path = join(repoRoot, 'docs/reference/metrics.md');
    const text = await metricsReference();
    if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(path, text);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it("the reference's own queries ask for figures that are there", async () => {
    const all = await known();
    const queries = [...(await metricsReference()).matchAll(/```promql\n([^`]*)```/g)].map(
      ([, text = '']) => text,
    );
    expect(queries.length).toBeGreaterThan(1);
    expect(queries.flatMap((text) => absentIn(text, all))).toEqual([]);
    expect(absentIn('vmpool_gone / vmpool_members{state="Bussy"} + vmpool_leases{queue="a"}', all)).toEqual([
      'vmpool_gone',
      'vmpool_members{state="Bussy"}',
      'vmpool_leases{queue}',
    ]);
  });

  it('the alerts ask for figures that are there, and each says what to do', async () => {
    const all = await known();
    const rules = parse(fileText('config/prometheus/vmpool.rules.yaml')) as {
      groups: {
        rules: { alert: string; expr: string; annotations: { summary: string; description: string } }[];
      }[];
    };
    const alerts = rules.groups.flatMap((group) => group.rules);
    expect(alerts.length).toBeGreaterThan(5);
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
    for (const { alert, expr, annotations } of alerts) {
      expect(annotations.description.length).toBeGreaterThan(30);
      expect({ alert, absent: absentIn(expr, all) }).toEqual({ alert, absent: [] });
      // A label that the sum has dropped would be empty in the words.
      const kept = /\bby \(([^)]*)\)/
        .exec(expr)?.[1]
        ?.split(',')
        .map((label) => label.trim());
      const named = [...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label);
      const lacking = kept === undefined ? [] : named.filter((label) => !kept.includes(label ?? ''));
      expect({ alert, lacking }).toEqual({ alert, lacking: [] });
    }
    const used = alerts.flatMap(({ expr }) => selectorsIn(expr).map(({ name }) => name));
    for (const name of [
      'vmpool_member_failures_total',
      'vmpool_cell_update_failures_total',
      'vmpool_http_refusals_total',
    ])
      expect(used).toContain(name);
  });

  it('the dashboard draws figures that are there', async () => {
    const all = await known();
    const dashboard = JSON.parse(fileText('config/grafana/vmpool.json')) as {
      panels: {
        id: number;
        gridPos: { x: number; y: number; w: number; h: number };
        targets: { expr: string }[];
      }[];
    };
    const exprs = dashboard.panels.flatMap((panel) => panel.targets.map(({ expr }) => expr));
    expect(exprs.flatMap((expr) => absentIn(expr, all))).toEqual([]);
    // Those of the pools that are chosen, which may be several; some figures are of no pool.
    const unchosen = exprs
      .flatMap(selectorsIn)
      .filter(({ name }) => all.get(name)?.includes('pool'))
      .filter(({ matchers }) => !matchers.some(({ label, value }) => label === 'pool' && value === '$pool'));
    expect(unchosen).toEqual([]);
    expect(exprs.flatMap(selectorsIn).length).toBeGreaterThan(20);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const at = dashboard.panels.map(({ gridPos: { x, y } }) => `${String(x)} ${String(y)}`);
    expect(new Set(at).size).toBe(at.length);
  });

  it('the route by which workers ask for VMs is one of the table', () => {
    expect(routes.map(({ method, path }) => `${method} ${path}`)).toContain(leaseRoute);
  });
});
