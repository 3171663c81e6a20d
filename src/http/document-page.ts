import { kindOf, limitsOf, type Described } from './described.js';
import type { OpenApiDocument } from './openapi.js';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML shows it, in content and in quoted attributes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => entities[sign] ?? '');

/** Escaped text in which `words` between backquotes are code. */
const prose = (text: string): string => escapeHtml(text).replace(/`([^`]+)`/g, '<code>$1</code>');

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: Described;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Described }>> };
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description: string;
        readonly content?: Readonly<Record<string, { readonly schema: Described }>>;
      }
    >
  >;
}

const row = (cells: readonly string[], tag = 'td'): string =>
  `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
const table = (head: readonly string[], rows: readonly string[]): string =>
  `<table>${row(head, 'th scope="col"').replaceAll('</th scope="col">', '</th>')}${rows.join('')}</table>`;

const kind = (schema: Described, names: ReadonlySet<string>): string =>
  escapeHtml(kindOf(schema)).replace(/[A-Z][A-Za-z]+/g, (word) =>
    names.has(word) ? `<a href="#${word}">${word}</a>` : word,
  );

const valueRow = (name: string, schema: Described, required: boolean, names: ReadonlySet<string>): string =>
  row([
    `<code>${escapeHtml(name)}</code>${required ? '' : ' (optional)'}`,
    kind(schema, names),
    escapeHtml(limitsOf(schema).join('; ')),
    prose(schema.description ?? ''),
  ]);

const operationHtml = (method: string, path: string, op: Operation, names: ReadonlySet<string>): string => {
  const who = op.security.flatMap((one) => Object.keys(one)).join(', ');
  const body = Object.values(op.requestBody?.content ?? {})[0]?.schema;
  const parameters = (op.parameters ?? []).filter((at) => at.in !== 'header');
  return [
    `<section id="${escapeHtml(op.operationId)}"><h2><code>${method.toUpperCase()} ${escapeHtml(path)}</code></h2>`,
    `<p>${prose(op.summary)} ${prose(op.description ?? '')}</p>`,
    `<p>For: ${who === '' ? 'everyone, without a token' : escapeHtml(who)}</p>`,
    parameters.length === 0
      ? ''
      : table(
          ['parameter', 'kind', 'limits', 'meaning'],
          parameters.map((at) => valueRow(`${at.name} (${at.in})`, at.schema, at.required === true, names)),
        ),
    body === undefined ? '' : `<p>Body: ${kind(body, names)}</p>`,
    table(
      ['status', 'body', 'meaning'],
      Object.entries(op.responses).map(([status, answer]) => {
        const schema = Object.values(answer.content ?? {})[0]?.schema;
        return row([status, schema === undefined ? '' : kind(schema, names), prose(answer.description)]);
      }),
    ),
    '</section>',
  ].join('\n');
};

const style = `
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .9rem }
th, td { border: 1px solid #8886; padding: .25rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere }
section { border-top: 1px solid #8886 }`;

/** The document as one page that needs nothing else: no script, no other address. */
export const documentPage = (document: OpenApiDocument): string => {
  // The document is this program's own; its shapes are those that `openapi.ts` writes.
  const schemas = (document.components?.schemas ?? {}) as Readonly<Record<string, Described>>;
  const paths = (document.paths ?? {}) as unknown as Readonly<
    Record<string, Readonly<Record<string, Operation>>>
  >;
  const names = new Set(Object.keys(schemas));
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, op]) => ({ method, path, op })),
  );
  const { title, version, description = '' } = document.info;
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(title)}: HTTP API</title><style>${style}</style></head><body><main>`,
    `<h1>${escapeHtml(title)} ${escapeHtml(version)}: HTTP API</h1>`,
    `<p>${prose(description)}</p><p><a href="openapi.json">As an OpenAPI document</a></p><ul>`,
    ...operations.map(
      ({ method, path, op }) =>
        `<li><a href="#${escapeHtml(op.operationId)}"><code>${method.toUpperCase()} ${escapeHtml(path)}</code></a> ${prose(op.summary)}</li>`,
    ),
    '</ul>',
    ...operations.map(({ method, path, op }) => operationHtml(method, path, op, names)),
    '<h2>Shapes</h2>',
    ...Object.entries(schemas).map(
      ([name, schema]) =>
        `<section id="${escapeHtml(name)}"><h3>${escapeHtml(name)}</h3>${table(
          ['field', 'kind', 'limits', 'meaning'],
          Object.entries(schema.properties ?? {}).map(([field, at]) =>
            valueRow(field, at, schema.required?.includes(field) === true, names),
          ),
        )}</section>`,
    ),
    '</main></body></html>',
  ].join('\n');
};
