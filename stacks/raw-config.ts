/**
 * The stack's config as the Pulumi program receives it: full keys (`vmpool:min`), values as text, structured
 * values as JSON.
 */
export type RawConfig = Readonly<Record<string, string>>;

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  /** Every error at once, each naming its key. */
  | { readonly ok: false; readonly errors: readonly string[] };

const namespace = 'vmpool:';

/** Value of `vmpool:<key>`; undefined when it is not set (a declared default counts as set). */
export const valueOf = (raw: RawConfig, key: string): string | undefined => raw[namespace + key];

/** Structured value of `vmpool:<key>`; `undefined` when not set or empty, `notJson` when it is no JSON. */
export const structuredValueOf = (
  raw: RawConfig,
  key: string,
):
  | { readonly kind: 'missing' }
  | { readonly kind: 'notJson' }
  | { readonly kind: 'value'; readonly value: unknown } => {
  const text = valueOf(raw, key);
  if (text === undefined || text === '') {
    return { kind: 'missing' };
  }
  try {
    return { kind: 'value', value: JSON.parse(text) };
  } catch {
    return { kind: 'notJson' };
  }
};

/** Keys of the namespace that the program does not know: most often a slip of the pen. */
export const unknownKeys = (raw: RawConfig, known: readonly string[]): readonly string[] =>
  Object.keys(raw)
    .filter((key) => key.startsWith(namespace))
    .map((key) => key.slice(namespace.length))
    .filter((key) => !known.includes(key))
    .sort();
