/** The shapes of properties, to compare what declarations show with what a plugin's schema says. */

export type ScalarKind = 'string' | 'number' | 'boolean' | 'any' | 'asset' | 'archive';

export type Shape =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'array' | 'map'; readonly element: Shape }
  | { readonly kind: 'object'; readonly fields: Fields };

export type Fields = ReadonlyMap<string, { readonly required: boolean; readonly shape: Shape }>;

export const scalar = (kind: ScalarKind): Shape => ({ kind });
export const array = (element: Shape): Shape => ({ kind: 'array', element });
export const map = (element: Shape): Shape => ({ kind: 'map', element });
export const object = (fields: Fields): Shape => ({ kind: 'object', fields });

/** Writes a shape so that equal shapes give equal text; `required` tells whether optional members are marked. */
export function describe(shape: Shape, required = true): string {
  switch (shape.kind) {
    case 'array':
      return `${describe(shape.element, required)}[]`;
    case 'map':
      return `{[key]: ${describe(shape.element, required)}}`;
    case 'object': {
      const members = [...shape.fields].sort(([a], [b]) => (a < b ? -1 : 1));
      const text = members.map(
        ([name, field]) => `${name}${required && !field.required ? '?' : ''}: ${describe(field.shape, required)}`,
      );
      return `{${text.join('; ')}}`;
    }
    default:
      return shape.kind;
  }
}

/** Lists the differences between two property lists, each as one line; empty when they agree. */
export function differences(where: string, wanted: Fields, got: Fields, options: { required: boolean }): string[] {
  const lines: string[] = [];
  for (const [name, field] of wanted) {
    const other = got.get(name);
    if (other === undefined) {
      lines.push(`${where}.${name}: the plugin does not have it`);
      continue;
    }
    if (options.required && field.required !== other.required) {
      lines.push(`${where}.${name}: ${other.required ? 'required' : 'optional'} in the plugin only`);
    }
    const [declared, served] = [describe(field.shape, options.required), describe(other.shape, options.required)];
    if (declared !== served) lines.push(`${where}.${name}: declared ${declared}, plugin ${served}`);
  }
  for (const name of got.keys()) {
    if (!wanted.has(name)) lines.push(`${where}.${name}: the npm package does not have it`);
  }
  return lines;
}
