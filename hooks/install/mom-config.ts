/** One `$name value` line of mom_priv/config. */
export interface MomDirective {
  readonly name: string;
  readonly value: string;
}

const nameOf = (line: string): string | null => /^\s*(\$\S+)/.exec(line)?.[1] ?? null;
const valueOf = (line: string): string =>
  line
    .trim()
    .replace(/^\S+\s*/, '')
    .trim();

/** The text with those directives set: the first of a name is changed where it stands, later ones go, others stay. */
export function changedMomConfig(text: string, directives: readonly MomDirective[]): string {
  const wanted = new Map(directives.map((one) => [one.name, one.value]));
  const seen = new Set<string>();
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const kept = lines.flatMap((line) => {
    const name = nameOf(line);
    const value = name === null ? undefined : wanted.get(name);
    if (name === null || value === undefined) return [line];
    if (seen.has(name)) return [];
    seen.add(name);
    return valueOf(line) === value ? [line] : [`${name} ${value}`];
  });
  const missing = directives.filter((one) => !seen.has(one.name)).map((one) => `${one.name} ${one.value}`);
  return `${[...kept, ...missing].join('\n')}\n`;
}

export function momConfigProblems(text: string, directives: readonly MomDirective[]): string[] {
  const lines = text.split('\n');
  return directives.flatMap(({ name, value }) => {
    const found = lines.filter((line) => nameOf(line) === name);
    if (found.length === 0) return [`the line "${name} ${value}" is missing`];
    if (found.length > 1) return [`${name} is set ${found.length} times; leave "${name} ${value}"`];
    return valueOf(found[0] ?? '') === value ? [] : [`"${found[0]?.trim()}" should be "${name} ${value}"`];
  });
}
