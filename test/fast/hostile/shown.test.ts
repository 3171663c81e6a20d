import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { StatusView } from '../../../src/http/api.js';
import { documentPage, escapeHtml } from '../../../src/http/document-page.js';
import { openApiDocument } from '../../../src/http/openapi.js';
import { routes } from '../../../src/http/routes.js';
import { statusText } from '../../../src/cli/status-text.js';
import { coloured, harmless, harmlessLine, plain } from '../../../src/cli/terminal.js';
import { FakePool } from '../http/fake-service.js';
import { json, text } from './texts.js';

// eslint-disable-next-line no-control-regex -- what a terminal would obey
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/u;

describe('an operator’s terminal', () => {
  it('is told nothing that it would obey, whatever a job has put into a detail', () => {
    const status = new FakePool().status();
    const [first] = status.members;
    fc.assert(
      fc.property(text(), text(), (detail, problem) => {
        if (first === undefined) throw new Error('the status has members');
        const told: StatusView = {
          ...status,
          problems: [problem.slice(0, 2000)],
          services: [
            {
              ...{ name: 'hosts', type: 'command', stack: 'p-svc-hosts', hosts: 1, toAdd: 1, toRemove: 0 },
              ...{ running: false, upToDate: false, behindSince: null, nextTry: null },
              // Words from the service's host are in it.
              lastError: problem.slice(0, 2000),
            },
          ],
          members: [
            {
              ...first,
              state: 'Unusable',
              reason: 'held',
              detail: detail.slice(0, 2000),
              retiring: detail.slice(0, 50),
            },
          ],
        };
        expect(harmless(statusText(told, plain))).not.toMatch(obeyed);
        // No line of its own: those that there are begin as ours do.
        const lines = statusText(told, plain).split('\n');
        expect(lines.filter((line) => line.startsWith('Pool '))).toHaveLength(1);
        expect(lines.length).toBeLessThanOrEqual(11);
      }),
      { numRuns: 100 },
    );
  });

  it('still sees colours, lines, and every character that can be seen', () => {
    const ours = `${coloured('red', 'FAIL')}\tä 漢字 😀\n  next`;
    expect(harmless(ours)).toBe(ours);
    expect(harmless('\u001b]0;x\u0007\u009b2J\r\u{e0001}')).toBe(
      '\\u001b]0;x\\u0007\\u009b2J\\u000d\\udb40\\udc01',
    );
    expect(harmlessLine('a\n  b')).toBe('a | b');
  });

  it('gets JSON that means the same', () => {
    fc.assert(
      fc.property(json(), (value) => {
        const written = JSON.stringify(value);
        expect(JSON.parse(harmless(written))).toEqual(JSON.parse(written));
      }),
    );
  });
});

describe('the page that describes the API', () => {
  it('holds no tag that is not its own, whatever stands in the document', () => {
    const tags = (page: string): readonly string[] => page.match(/<[^>]*>/g) ?? [];
    const document = openApiDocument(routes);
    const known = new Set(tags(documentPage(document)).map((tag) => tag.replace(/(id|href)="[^"]*"/, '$1')));
    known.add('<code>').add('</code>').add('<p>').add('<a href>');
    fc.assert(
      fc.property(text(), (nasty) => {
        const marked = nasty.slice(0, 500);
        const spoilt = JSON.parse(
          JSON.stringify(document, (key, value: unknown) =>
            ['summary', 'description', 'title', 'version', 'pattern', 'operationId'].includes(key) &&
            typeof value === 'string'
              ? `${value}${marked}`
              : value,
          ),
        ) as typeof document;
        const found = tags(documentPage(spoilt)).map((tag) => tag.replace(/(id|href)="[^"]*"/, '$1'));
        expect(found.filter((tag) => !known.has(tag))).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('a text in it says what it said', () => {
    const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
    fc.assert(
      fc.property(text(), (said) => {
        const escaped = escapeHtml(said);
        expect(escaped).not.toMatch(/[<>"']/);
        expect(escaped.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '')).toBe(
          said,
        );
      }),
    );
  });
});
