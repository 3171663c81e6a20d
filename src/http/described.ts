/** The part of an OpenAPI schema that the readable forms show. */
export interface Described {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly anyOf?: readonly Described[];
  readonly items?: Described;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
}

/** The name of the component that a reference points to. */
export const refName = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1);

/** The kind of a value in a few words; named shapes by their name. */
export const kindOf = (at: Described): string => {
  if (at.$ref !== undefined) return refName(at.$ref);
  if (at.const !== undefined) return JSON.stringify(at.const);
  if (at.enum !== undefined) return at.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (at.anyOf !== undefined) return at.anyOf.map(kindOf).join(' or ');
  if (at.items !== undefined) return `[${kindOf(at.items)}]`;
  if (at.properties !== undefined) {
    const fields = Object.entries(at.properties).map(
      ([name, field]) => `${name}${at.required?.includes(name) === true ? '' : '?'}: ${kindOf(field)}`,
    );
    return `{ ${fields.join(', ')} }`;
  }
  return [at.type ?? 'any'].flat().join(' or ');
};

/** Numbers that only say what JavaScript can hold are no limit worth telling. */
const worthTelling = (n: number | undefined): n is number =>
  n !== undefined && Math.abs(n) < Number.MAX_SAFE_INTEGER;

const range = (unit: string, least: number | undefined, most: number | undefined): readonly string[] => {
  const told = worthTelling(most)
    ? worthTelling(least)
      ? `${String(least)} to ${String(most)}`
      : `at most ${String(most)}`
    : worthTelling(least)
      ? `at least ${String(least)}`
      : null;
  return told === null ? [] : [unit === '' ? told : `${told} ${unit}`];
};

/** Limits of a value, each in a few words. */
export const limitsOf = (at: Described): readonly string[] => [
  ...range('characters', at.minLength, at.maxLength),
  ...range('', at.minimum, at.maximum),
  ...range('items', undefined, at.maxItems),
  ...(at.pattern === undefined ? [] : [`matches ${at.pattern}`]),
  ...(at.items === undefined ? [] : limitsOf(at.items).map((limit) => `each ${limit}`)),
  ...(at.default === undefined ? [] : [`default ${JSON.stringify(at.default)}`]),
];
