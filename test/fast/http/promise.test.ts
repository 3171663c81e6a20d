import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiDocument } from '../../../src/http/openapi.js';
import { routes } from '../../../src/http/routes.js';
import { repoRoot } from '../../../src/repo-root.js';
import { brokenBy, factsOf } from '../../support/promise.js';

const file = join(repoRoot, 'test', 'fast', 'http', 'promised-v1.txt');
const promised = (): readonly string[] =>
  existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];

const text = JSON.stringify(openApiDocument(routes));
const document: unknown = JSON.parse(text);

type Edit = readonly [path: string, value: unknown];
/** The document with other values at these places, whose keys a blank parts; undefined takes one away. */
const edited = (edits: readonly Edit[]): unknown => {
  const put = (node: unknown, [key, ...rest]: readonly string[], value: unknown): unknown => {
    if (key === undefined) return value;
    const old = Object.entries(node ?? {}).find(([name]) => name === key)?.[1] as unknown;
    if (Array.isArray(node))
      return node.map((item: unknown, n) => (String(n) === key ? put(item, rest, value) : item));
    return { ...(node as object), [key]: put(old, rest, value) };
  };
  const whole = edits.reduce((node, [path, value]) => put(node, path.split(' '), value), document);
  return JSON.parse(JSON.stringify(whole)) as unknown;
};
const changed = (...edits: readonly Edit[]): readonly string[] =>
  brokenBy(factsOf(document), factsOf(edited(edits)));

describe('version 1 of the API', () => {
  it('keeps all that was ever described of it, and asks for no more', () => {
    const now = factsOf(document);
    expect(brokenBy(promised(), now)).toEqual([]);
    if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(file, `${now.join('\n')}\n`);
    // What is new is promised, too: UPDATE_REFERENCE=1 adds it.
    expect(now.filter((fact) => !promised().includes(fact))).toEqual([]);
  });

  const [lease, request] = ['components schemas Lease', 'components schemas LeaseRequest'];
  it.each<[string, Edit, RegExp]>([
    ['a call that is gone', ['paths /v1/status get', undefined], /no longer so: GET \/v1\/status$/],
    [
      'a field of an answer that is gone',
      [`${lease} properties state`, undefined],
      /no longer so: GET \/v1\/leases\/\{id\} 200\.state: string/,
    ],
    [
      'a field of an answer that may be missing now',
      [`${lease} required`, []],
      /no longer so: GET \/v1\/leases\/\{id\} 200\.state is always there/,
    ],
    [
      'a field of an answer that is of another kind',
      [`${lease} properties ready`, { type: 'string' }],
      /no longer so: GET \/v1\/leases\/\{id\} 200\.ready: boolean/,
    ],
    [
      'a field of a call that has to be given now',
      [`${request} required`, ['job', 'attempt', 'user', 'publicKey', 'queue']],
      /asked for now: POST \/v1\/leases body\.queue needs a value/,
    ],
    [
      'a word that a call takes no more',
      ['paths /v1/leases post parameters 1 schema enum', ['granted']],
      /no longer so: POST \/v1\/leases query until takes "ready"/,
    ],
  ])('would be broken by %s', (_what, edit, expected) => {
    expect(changed(edit)).toEqual(expect.arrayContaining([expect.stringMatching(expected)]));
  });

  it('is not broken by a new call, a new field of an answer, or a new field that a call may have', () => {
    const more: readonly Edit[] = [
      ['paths /v1/more', { get: { responses: {} } }],
      [`${lease} properties more`, { type: 'string' }],
      [`${request} properties more`, { type: 'string' }],
    ];
    expect(changed(...more)).toEqual([]);
    expect(factsOf(edited(more)).length).toBeGreaterThan(factsOf(document).length + 2);
  });
});
