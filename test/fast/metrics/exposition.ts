/** The value of one series in an exposition, whatever the order of its labels; null where it is not there. */
export const valueOf = (text: string, series: string): number | null => {
  const sorted = (name: string): string =>
    name.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join()}}`);
  const found = text
    .split('\n')
    .map((line) => /^(\S+\{.*\}|\S+) (\S+)$/.exec(line))
    .find((parts) => sorted(parts?.[1] ?? '') === sorted(series));
  return found === undefined ? null : Number(found?.[2]);
};
