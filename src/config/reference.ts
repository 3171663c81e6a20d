import { settingsDescription, type KeyDescription } from './explain.js';

const code = (value: unknown): string => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;

const typeOf = (key: KeyDescription): string => {
  if (key.enum !== undefined) return key.enum.map(code).join(', ');
  if (key.format !== undefined) return key.format;
  const range =
    key.type === 'integer' && key.minimum !== undefined
      ? ` from ${String(key.minimum)}${key.maximum !== undefined && key.maximum < 1e9 ? ` to ${String(key.maximum)}` : ''}`
      : '';
  if (key.type === 'array') return 'list';
  if (key.type === 'object') return 'mapping';
  return `${String(key.type ?? 'text')
    .replace('integer', 'number')
    .replace('string', 'text')}${range}`;
};

const rowsOf = (at: KeyDescription, prefix: string): readonly string[] =>
  Object.entries(at.properties ?? {}).flatMap(([name, key]) => {
    const path = `${prefix}${name}`;
    if (key.properties !== undefined) return rowsOf(key, `${path}.`);
    const initial = at.required?.includes(name)
      ? 'required'
      : key.default === undefined
        ? ''
        : code(key.default);
    const own = `| \`${path}\` | ${typeOf(key)} | ${initial} | ${key.description ?? ''} |`;
    return [own, ...(key.items === undefined ? [] : rowsOf(key.items, `${path}[].`))];
  });

/** The reference of the configuration file as Markdown, from the schema that reads it. */
export const configurationReference = (): string =>
  [
    '# Configuration',
    '',
    'One YAML file (`config/vmpool.example.yaml` is a commented one). Unknown keys are errors; all errors are told at once, with their lines. Paths are relative to the directory of the file. Times have a unit (`500ms`, `90s`, `10m`, `2h`, `7d`), sizes too (`512B`, `256KiB`, `1MiB`). Secrets come from files that others cannot read, or from the environment, never from this file.',
    '',
    'On SIGHUP the file is read again: `auth.tokens`, `policy`, `engine.maxParallel`, `engine.adoptEvery`, `logging`, `limits.maxWait`, `limits.stopGrace` and the files of `listen.tls` take effect at once and no lease is touched; other changes are reported and wait for a restart. A file with errors changes nothing.',
    '',
    '<!-- Generated from src/config/schema.ts; a test compares. -->',
    '',
    '| key | value | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rowsOf(settingsDescription, ''),
    '',
  ].join('\n');
