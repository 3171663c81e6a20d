import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { documentPath, openApiDocument } from '../../../src/http/openapi.js';
import type { Route } from '../../../src/http/route.js';
import { routes } from '../../../src/http/routes.js';

/** What the document says of one status of an operation. */
interface DescribedAnswer {
  readonly content: Readonly<Record<string, { readonly schema: object }>>;
  readonly headers: Readonly<Record<string, { readonly required?: boolean; readonly schema: object }>>;
}
interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Closes every shape: the document lets a later version add fields, this version answers what it describes. */
const closed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, child]): [string, unknown] => [key, closed(child)]);
  const isShape = 'properties' in value && 'type' in value && value.type === 'object';
  return { ...(isShape ? { additionalProperties: false } : {}), ...Object.fromEntries(entries) };
};

const document = closed(JSON.parse(JSON.stringify(openApiDocument(routes)))) as {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly responses: Readonly<Record<string, DescribedAnswer>> }>>
    >
  >;
};
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema({ ...document, $id: 'openapi' });
const compiled = new Map<string, ValidateFunction>();
const escaped = (part: string): string => part.replaceAll('~', '~0').replaceAll('/', '~1');

const validator = (pointer: readonly string[]): ValidateFunction => {
  const $ref = `openapi#/${pointer.map((part) => encodeURIComponent(escaped(part))).join('/')}`;
  const found = compiled.get($ref) ?? ajv.compile({ $ref });
  compiled.set($ref, found);
  return found;
};

const matches = (route: Route, pathname: string): boolean =>
  new RegExp(`^${route.path.replaceAll('.', '\\.').replace(/:[A-Za-z]+/g, '[^/]+')}$`).test(pathname);

/** What the schema describes: the whole answer, and of an event stream each event. */
const bodiesOf = (type: string, text: string): readonly unknown[] => {
  if (type !== 'text/event-stream') return [type.endsWith('json') ? (JSON.parse(text) as unknown) : text];
  return text.split('\n\n').flatMap((block): readonly unknown[] => {
    const fields = block.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
    return fields.length === 0 ? [] : [Object.fromEntries(fields.map((line) => line.split(/: (.*)/s, 2)))];
  });
};

/** How many answers were compared with the document, by route and status. */
export const compared = new Map<string, number>();

/**
 * Throws when the answer of a described route is not one that the document has: by status, type, headers and
 * every field. Other addresses and methods have to be answered with 404 or 405.
 */
export const assertDescribed = (method: string, path: string, answer: Heard): void => {
  const [pathname = ''] = path.split(/[?#]/);
  const fitting = routes.filter((route) => matches(route, pathname));
  const route = fitting.find((one) => one.method === (method === 'HEAD' ? 'GET' : method));
  const told = `${method} ${path}: ${String(answer.status)} ${answer.text.slice(0, 500)}`;
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  if (route === undefined) {
    // A path that cannot be decoded is told apart before it is looked for.
    const fit = fitting.length > 0 ? [405] : [404, 400, 405];
    if (!fit.includes(answer.status)) throw new Error(`undescribed, and not refused: ${told}`);
    return;
  }
  const at = [
    'paths',
    documentPath(route.path),
    route.method.toLowerCase(),
    'responses',
    String(answer.status),
  ];
  const described = document.paths[at[1] ?? '']?.[at[2] ?? '']?.responses[String(answer.status)];
  if (described === undefined) throw new Error(`an answer that is not in the document: ${told}`);
  if (!(type in described.content)) throw new Error(`another type than in the document (${type}): ${told}`);
  for (const [name, header] of Object.entries(described.headers)) {
    const value = answer.headers[name.toLowerCase()];
    if (value === undefined) {
      if (header.required === true) throw new Error(`without the header ${name}: ${told}`);
      continue;
    }
    if (!ajv.validate(header.schema, value)) throw new Error(`${name}: ${ajv.errorsText()}: ${told}`);
  }
  if (method !== 'HEAD') {
    const validate = validator([...at, 'content', type, 'schema']);
    for (const body of bodiesOf(type, answer.text))
      if (!validate(body)) throw new Error(`${ajv.errorsText(validate.errors)}: ${told}`);
  }
  const key = `${route.method} ${route.path} ${String(answer.status)}`;
  compared.set(key, (compared.get(key) ?? 0) + 1);
};
