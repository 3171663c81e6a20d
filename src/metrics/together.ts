/**
 * The figures of several pools as one exposition. Prometheus wants all series of a metric in one group, described once;
 * the series of different pools differ in their label. Pure.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
 */
export function figuresTogether(texts: readonly string[]): string {
  const groups = new Map<string, { readonly head: readonly string[]; readonly series: string[] }>();
  for (const text of texts)
    for (const block of text.split(/^(?=# HELP )/m)) {
      const name = /^# HELP (\S+)/.exec(block)?.[1];
      if (name === undefined) continue;
      const lines = block.split('\n').filter((line) => line !== '');
      const isHead = (line: string): boolean => line.startsWith('#');
      const group = groups.get(name) ?? { head: lines.filter(isHead), series: [] };
      group.series.push(...lines.filter((line) => !isHead(line)));
      groups.set(name, group);
    }
  return [...groups.values()].map(({ head, series }) => `${[...head, ...series].join('\n')}\n`).join('\n');
}
