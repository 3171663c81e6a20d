import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { consoleHostKeys } from '../../../src/cloud/console.js';
import { parseConfig } from '../../../src/config/load.js';
import { parsePoolOutputs } from '../../../src/engine/pool-outputs.js';
import { parseContract, parseOrderAnswer, parseProbe, printable } from '../../../src/guest/answers.js';
import { MarkerSeal } from '../../../src/guest/marker.js';
import { emptyBook } from '../../../src/pool/book.js';
import { bookFormat } from '../../../src/pool/book-schema.js';
import type { InstallationId, MemberName } from '../../../src/pool/model.js';
import { parseEnvFile } from '../../../src/service/environment.js';
import { decode, encode } from '../../../src/store/envelope.js';
import { openStore } from '../../../src/store/store.js';
import { json, nastyTexts, spoilt, text } from './texts.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmpool-hostile-files-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const jsonText = (value: unknown): string => JSON.stringify(value);

describe('the configuration of the service', () => {
  const valid = {
    pool: 'p',
    auth: { tokens: [{ name: 'op', role: 'operator', sha256: 'a'.repeat(64) }] },
    engine: { passphraseFile: 'secret' },
    guest: { privateKeyFile: 'secret', environment: { A: 'b' } },
    policy: { bootLimit: '5m' },
    limits: { bodyBytes: '1MiB' },
  };
  const check = (content: string): void => {
    const loaded = parseConfig(content, folder, {});
    if (loaded.ok) return;
    expect(loaded.errors.length).toBeGreaterThan(0);
    for (const { message } of loaded.errors) expect(message).not.toBe('');
  };

  it('of anything is taken, or every error is named', () => {
    writeFileSync(join(folder, 'secret'), 'x'.repeat(40), { mode: 0o600 });
    expect(parseConfig(stringify(valid), folder, {})).toMatchObject({ ok: true });
    const spoilts = spoilt(valid).map((value) => jsonText(value) ?? '');
    fc.assert(fc.property(fc.oneof(text(), json().map(jsonText), spoilts), check), { numRuns: 100 });
  });

  it.each([
    ['deep lists', '['.repeat(100_000)],
    ['deep lists that end', '['.repeat(20_000) + ']'.repeat(20_000)],
    ['deep maps', '{a: '.repeat(50_000)],
    ['deep items', '- '.repeat(20_000)],
    ['deep questions', '? '.repeat(20_000)],
    ['deep indentation', Array.from({ length: 3_000 }, (_, n) => `${' '.repeat(n)}a:`).join('\n')],
    [
      'aliases that multiply',
      `a: &a [x,x]\n${Array.from({ length: 40 }, (_, n) => `b${n}: &b${n} [*a,*a]`).join('\n')}`,
    ],
    ['an alias of itself', 'a: &a [*a]'],
    ['keys of prototypes', '__proto__: {pool: p}\nconstructor: {prototype: {pool: p}}'],
    ['a megabyte of one word', nastyTexts.at(-1) ?? ''],
    ['a megabyte of lines', 'a: b\n'.repeat(200_000)],
    ['tags', '!!js/function "x"\n'],
    ['zero bytes', '\0'.repeat(10_000)],
  ])('with %s', (_, content) => check(content));
});

describe('the file of OpenStack variables', () => {
  it('of anything gives variables, or names the line; nothing is executed', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          text(),
          text().map((value) => `export OS_X="${value}"`),
        ),
        (content) => {
          try {
            for (const name of Object.keys(parseEnvFile(content))) expect(name).toMatch(/^OS_[A-Z0-9_]+$/);
          } catch (error) {
            expect(String(error)).toMatch(/line \d+ of the cloud's envFile/);
          }
        },
      ),
    );
  });
});

describe('the store', () => {
  const book = emptyBook('00000000-0000-4000-8000-000000000000' as InstallationId, 'p', 1);
  const open = (name: string): ReturnType<typeof openStore<typeof book>> =>
    openStore({
      ...bookFormat,
      path: join(folder, name),
      ...{ initial: () => book, clock: { now: () => 1 }, onWarning: () => undefined },
    });

  it('takes no bytes but those that it wrote', () => {
    const good = Buffer.from(
      encode({ version: 1, savedAt: '2026-01-01T00:00:00.000Z', origin: 'commit', json: jsonText(book) }),
    );
    expect(decode(good)).toMatchObject({ ok: true });
    const changed = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
      const copy = Buffer.from(good);
      copy[at] = (copy[at] ?? 0) ^ by;
      return copy;
    });
    const other = fc.oneof(
      changed,
      fc.nat(good.length - 1).map((n) => good.subarray(0, n)),
      text().map((t) => Buffer.from(t)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(other, (bytes) => {
        expect(decode(bytes)).toMatchObject({ ok: false, why: expect.stringMatching(/./) as unknown });
      }),
      { numRuns: 500 },
    );
  });

  it('with a right checksum over a wrong book is refused with the reason, and left as it is', async () => {
    let n = 0;
    const contents = fc.sample(fc.oneof(json().map(jsonText), spoilt(book).map(jsonText), text()), {
      ...{ numRuns: 40, seed: 3 },
    });
    let damaged = 0;
    for (const content of contents) {
      const name = `book-${String((n += 1))}.json`;
      const file = encode({
        // Before journals: a snapshot of today's without its journal is refused for that, whatever it holds.
        version: bookFormat.journalSince - 1,
        savedAt: '2026-01-01T00:00:00.000Z',
        origin: 'commit',
        json: content,
      });
      writeFileSync(join(folder, name), file, { mode: 0o600 });
      const opened = await open(name);
      if (opened.kind === 'opened') await opened.store.close();
      else {
        expect(opened).toMatchObject({ kind: 'damaged', why: expect.stringMatching(/./) as unknown });
        damaged += 1;
      }
    }
    expect(damaged).toBeGreaterThan(20);
  });
});

describe('what a VM and the cloud say', () => {
  const seal = new MarkerSeal('secret');
  const member = 'm' as MemberName;

  it('a probe, a contract or an answer of anything is read strictly, and what is shown of it is printable', () => {
    const answers = fc.oneof(
      text(),
      text().map((marker) => `boot 00000000-0000-0000-0000-000000000000\nmarker ${marker}\nend\n`),
      json().map((marker) => `boot 00000000-0000-0000-0000-000000000000\nmarker ${jsonText(marker)}\nend\n`),
      text().map((note) => `note ${note}\nok\n`),
      text().map((why) => `failed ${why}\n`),
      text().map((what) => `missing ${what}\nclock 1\nend\n`),
    );
    fc.assert(
      fc.property(answers, (output) => {
        const probe = parseProbe(output, member, seal);
        if (probe.ok && probe.marker !== null) expect(probe.marker.authentic).toBe(false);
        const order = parseOrderAnswer(output);
        const contract = parseContract(output);
        const shown = [
          ...(probe.ok ? [] : [probe.why]),
          ...(order === null ? [] : order.notes),
          ...(order === null || order.kind === 'ok' ? [] : [order.why]),
          ...(contract?.missing ?? []),
        ];
        for (const one of shown) {
          expect(one.length).toBeLessThan(5_000);
          expect(one).not.toMatch(/\p{Cc}/u);
        }
      }),
      { numRuns: 300 },
    );
    expect(printable('\u001b[2J\n')).toBe('\\x1b[2J\\x0a');
  });

  it('a console log of a megabyte of anything is read in one go', () => {
    const begin = '-----BEGIN SSH HOST KEY KEYS-----';
    const end = '-----END SSH HOST KEY KEYS-----';
    const parts = [
      'ssh-',
      'ssh-rsa ',
      'ssh-ed25519 AAAA',
      '\u001b[',
      '\u001b]',
      '\u001b[0;',
      ' ',
      'A',
      '\r',
      '\n',
      `${begin}\n`,
      `${end}\n`,
    ];
    // Regular expressions that look again and again over the same text would take hours here.
    for (const part of parts) {
      const long = part.repeat(Math.ceil((1024 * 1024) / part.length));
      for (const log of [long, `${begin}\n${long}`, `${begin}\n${long}\n${end}`])
        expect(consoleHostKeys(log)).toBeNull();
    }
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...parts), text())),
        (all) => void consoleHostKeys(all.join('')),
      ),
    );
  });

  it('outputs of the pool stack of anything are refused with the reason', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          json(),
          json().map((shape) => ({ shape })),
        ),
        (outputs) => {
          expect(parsePoolOutputs(outputs)).toMatchObject({
            ok: false,
            why: expect.stringMatching(/./) as unknown,
          });
        },
      ),
    );
  });
});
