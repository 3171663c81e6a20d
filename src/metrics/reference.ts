import type { Registry } from 'prom-client';
import { updateFailures } from '../engine/port.js';
import { emptyBook, emptySight } from '../pool/book.js';
import { vmFailures } from '../pool/failures.js';
import type { InstallationId } from '../pool/model.js';
import { HttpMetrics } from './http-metrics.js';
import { PoolMetrics } from './pool-metrics.js';

/** Figures with their kind, meaning and labels, from the registry that serves them. */
const described = async (registry: Registry, common: readonly string[]): Promise<readonly string[]> => {
  const metrics = await registry.getMetricsAsJSON();
  return metrics.map(({ name, help, type }) => {
    const metric: object = registry.getSingleMetric(name) ?? {};
    const own =
      'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [];
    const labels = [...common, ...own].map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${String(type)} | ${labels} | ${help} |`;
  });
};

const reasons = (all: Readonly<Record<string, string>>): readonly string[] => [
  '| reason | when |',
  '| --- | --- |',
  ...Object.entries(all).map(([reason, when]) => `| \`${reason}\` | ${when} |`),
];

/** The reference of the metrics as Markdown. */
export const metricsReference = async (): Promise<string> => {
  const state = { book: emptyBook('' as InstallationId, '', 0), sight: emptySight };
  const pool = new PoolMetrics('', () => ({ state, now: 0, breakerAfter: 1, storeProblem: null }));
  const http = new HttpMetrics();
  return [
    '# Metrics',
    '',
    "`GET /metrics` answers in Prometheus' text format, for the roles operator and viewer. Times are in seconds. What is so now is read from the pool's state at each scrape; what happens is counted when it is durable, since the start of the service.",
    '',
    'The names below, their labels and the values of `reason` are kept: a change of one is told in the changelog a version ahead. Beside them stand the usual figures of a Node process (`process_*`, `nodejs_*`). A label has a fixed set of values, or one for each pool, queue, worker or cell; none bears the name of a VM, a job or a user.',
    '',
    '<!-- Generated from src/metrics; a test compares. -->',
    '',
    '| name | kind | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...(await described(pool.registry, ['pool'])),
    ...(await described(http.registry, [])),
    '',
    '## Reasons of failure',
    '',
    'Counters with these begin at 0 with the service, so that `increase()` sees the first of each.',
    '',
    '`vmpool_member_failures_total`, by `reason`. A VM that is to go because the pool or a person wishes it counts nowhere here, and one that is given up because a fault has lasted too long was counted when the fault began. The line of the log and of the history files that tells of the VM has the reason as `failure`:',
    '',
    ...reasons(vmFailures),
    '',
    '`vmpool_cell_update_failures_total`, by `reason`:',
    '',
    ...reasons(updateFailures),
    '',
    '`vmpool_http_refusals_total`, by `route` (`POST /v1/leases` is where workers ask for VMs) and `reason`, a code of the [problems](http-api.md). It belongs to no pool: a request that no class fits has reached none.',
    '',
    '## Budget against max',
    '',
    "A pool may have `max` VMs. Every one that is not gone counts against that, whatever its state: held and failing VMs take a job's place. How much of it is used, and of that how much by jobs:",
    '',
    '```promql',
    'sum by (pool) (vmpool_members) / sum by (pool) (vmpool_size_limit{bound="max"})',
    'sum by (pool) (vmpool_members{state="Busy"}) / sum by (pool) (vmpool_size_limit{bound="max"})',
    '```',
    '',
    "The project's quota is the other limit, for all pools of the project together and for whatever else is in it. Each pool reads the same one, so it is not summed up:",
    '',
    '```promql',
    'max by (what) (vmpool_quota{bound="used"}) / max by (what) (vmpool_quota{bound="limit"})',
    '```',
    '',
    'A pool that wants more VMs than it has, with room below `max` and above what the quota has left, is held back by the quota: `vmpool status` says by which ([out of quota](../how-to/out-of-quota.md)).',
    '',
    '## Scraping, alerts, a dashboard',
    '',
    'Give Prometheus a token of the role viewer in a file that only it can read:',
    '',
    '```yaml',
    'scrape_configs:',
    '  - job_name: vmpool',
    "    scheme: https # http on the service's own machine, where it may do without TLS",
    "    # tls_config: { ca_file: /etc/prometheus/vmpool-ca.pem } # an authority of the site's own",
    '    authorization: { credentials_file: /etc/prometheus/vmpool.token }',
    '    static_configs: [{ targets: ["vmpool.example.org:8470"] }]',
    '```',
    '',
    '`config/prometheus/vmpool.rules.yaml` holds alerts, each with what to do; `config/grafana/vmpool.json` is a dashboard to import.',
    '',
  ].join('\n');
};
