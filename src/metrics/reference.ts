import { emptyBook, emptySight } from '../pool/book.js';
import type { InstallationId } from '../pool/model.js';
import { PoolMetrics } from './pool-metrics.js';

/** Every figure with its kind, meaning and labels, from the registry that serves them. */
const described = async (): Promise<readonly string[]> => {
  const state = { book: emptyBook('' as InstallationId, '', 0), sight: emptySight };
  const { registry } = new PoolMetrics('', () => ({ state, now: 0, breakerAfter: 1, storeProblem: null }));
  const metrics = await registry.getMetricsAsJSON();
  return metrics.map(({ name, help, type }) => {
    const metric: object = registry.getSingleMetric(name) ?? {};
    const own =
      'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [];
    const labels = ['pool', ...own].map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${String(type)} | ${labels} | ${help} |`;
  });
};

/** The reference of the metrics as Markdown. */
export const metricsReference = async (): Promise<string> =>
  [
    '# Metrics',
    '',
    "`GET /metrics` answers in Prometheus' text format, for the roles operator and viewer. Times are in seconds. What is so now is read from the pool's state at each scrape; what happens is counted when it is durable, since the start of the service.",
    '',
    'The names below are kept: a change of one is told in the changelog a version ahead. Beside them stand the usual figures of a Node process (`process_*`, `nodejs_*`).',
    '',
    '<!-- Generated from src/metrics/pool-metrics.ts; a test compares. -->',
    '',
    '| name | kind | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...(await described()),
    '',
    '## Scraping, alerts, a dashboard',
    '',
    'Give Prometheus a token of the role viewer in a file that only it can read:',
    '',
    '```yaml',
    'scrape_configs:',
    '  - job_name: vmpool',
    '    authorization: { credentials_file: /etc/prometheus/vmpool.token }',
    '    static_configs: [{ targets: ["vmpool.example.org:8470"] }]',
    '```',
    '',
    '`config/prometheus/vmpool.rules.yaml` holds alerts, each with what to do; `config/grafana/vmpool.json` is a dashboard to import.',
    '',
  ].join('\n');
