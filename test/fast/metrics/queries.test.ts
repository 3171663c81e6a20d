import { describe, expect, it } from '@jest/globals';
import { parser } from '@prometheus-io/lezer-promql';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { metricsReference } from '../../../src/metrics/reference.js';
import { repoRoot } from '../../../src/repo-root.js';

const fileText = (path: string): string => readFileSync(join(repoRoot, path), 'utf8');

/** Where the grammar of Prometheus' own editor does not understand a query: the text from there on. */
function notUnderstood(query: string): string | null {
  // Grafana writes its variables out before Prometheus reads them.
  const text = query.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h');
  let at: number | null = null;
  parser.parse(text).iterate({
    enter: ({ type, from }) => {
      if (type.isError) at ??= from;
    },
  });
  return at === null ? null : text.slice(at);
}

describe('every query in PromQL can be read by Prometheus', () => {
  const rules = parse(fileText('config/prometheus/vmpool.rules.yaml')) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  };
  it.each(rules.groups.flatMap((group) => group.rules).map(({ alert, expr }) => [alert, expr]))(
    'the alert %s',
    (_alert, expr) => expect(notUnderstood(expr)).toBeNull(),
  );

  const { panels } = JSON.parse(fileText('config/grafana/vmpool.json')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  it.each(panels.map(({ title, targets }) => [title, targets] as const))('the panel %s', (_title, targets) =>
    expect(targets.map(({ expr }) => notUnderstood(expr))).toEqual(targets.map(() => null)),
  );

  it("the reference's own", async () => {
    const queries = [...(await metricsReference()).matchAll(/```promql\n([^`]*)```/g)].flatMap(
      ([, text = '']) => text.trim().split('\n'),
    );
    expect(queries.length).toBeGreaterThan(1);
    expect(queries.filter((query) => notUnderstood(query) !== null)).toEqual([]);
  });

  it.each(['sum(rate(a[5m])', 'a{b="c"', 'sum by a (b)', 'a >', 'rate(a[5 m])'])('but for %s', (query) =>
    expect(notUnderstood(query)).not.toBeNull(),
  );
});
