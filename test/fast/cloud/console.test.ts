import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { consoleHostKeys } from '../../../src/cloud/console.js';

const key = (type: string, fill = 1): string => {
  const name = Buffer.from(type);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(name.length);
  return `${type} ${Buffer.concat([head, name, Buffer.alloc(40, fill)]).toString('base64')}`;
};
const ed = key('ssh-ed25519');
const rsa = key('ssh-rsa', 2);
const begin = '-----BEGIN SSH HOST KEY KEYS-----';
const end = '-----END SSH HOST KEY KEYS-----';

describe('host keys in a console log', () => {
  it('are read from cloud-init’s block, without their comments', () => {
    expect(consoleHostKeys(`boot\n${begin}\n${rsa} root@vm\n${ed} root@vm\n${end}\nlogin:`)).toEqual([
      rsa,
      ed,
    ]);
  });

  it('are read through time stamps, CR LF and terminal sequences', () => {
    const lines = [begin, `\u001b[32m${ed}\u001b[0m root@vm`, end];
    const log = lines.map((line) => `\u001b[0m[   12.345678] cloud-init[812]: ${line}`).join('\r\n');
    expect(consoleHostKeys(`\u001b]0;title\u0007x\r\n${log}\r\n`)).toEqual([ed]);
  });

  it('are those of the last boot that was printed whole', () => {
    const log = `${begin}\n${rsa}\n${end}\n${begin}\n${ed}\n${end}\n${begin}\n${rsa}\n`;
    expect(consoleHostKeys(log)).toEqual([ed]);
  });

  it('survive an empty block after them, and do not come from a block that began before another', () => {
    expect(consoleHostKeys(`${begin}\n${ed}\n${end}\n${begin}\n${end}\n`)).toEqual([ed]);
    expect(consoleHostKeys(`${begin}\n${rsa}\n${begin}\n${ed}\n${end}`)).toEqual([ed]);
  });

  it.each([
    ['no block', `${ed}\n`],
    ['a cut block', `${begin}\n${ed}\n`],
    ['only an end', `${ed}\n${end}\n`],
    ['a type that its key does not have', `${begin}\nssh-rsa ${ed.split(' ')[1] ?? ''}\n${end}`],
    ['base64 that is cut', `${begin}\n${ed.slice(0, -3)}\n${end}`],
    ['a type that is no longer accepted', `${begin}\n${key('ssh-dss')}\n${end}`],
    [
      'more keys than a server has',
      `${begin}\n${Array.from({ length: 40 }, (_, n) => key('ssh-rsa', n)).join('\n')}\n${end}`,
    ],
    ['nothing', ''],
  ])('are not read from %s', (_, log) => {
    expect(consoleHostKeys(log)).toBeNull();
  });

  it('come out whatever noise stands around and before the lines', () => {
    const noise = fc.string({ unit: 'binary' }).filter((text) => !/SSH HOST KEY/.test(text));
    const prefix = fc.constantFrom(
      '',
      '[   3.2] ',
      '<14>Nov 23 10:00:00 ec2: ',
      '\u001b[1m',
      'ci-info: ',
      '\t',
    );
    fc.assert(
      fc.property(noise, noise, prefix, fc.constantFrom('\n', '\r\n'), (before, after, put, newline) => {
        const block = [begin, `${rsa} root@vm`, ed, end].map((line) => put + line).join(newline);
        expect(consoleHostKeys(`${before}\n${block}${newline}${after}`)).toEqual([rsa, ed]);
      }),
      { numRuns: 500 },
    );
  });

  it('are well formed or absent for any text made of their pieces', () => {
    const piece = fc.constantFrom(
      begin,
      end,
      ed,
      rsa,
      '\n',
      '\r',
      ' ',
      '\u001b[',
      '\u001b]',
      'ssh-rsa',
      'AAAA',
      '\u0000',
      '=',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 40 }), (pieces) => {
        for (const found of consoleHostKeys(pieces.join('')) ?? []) {
          expect(found).toMatch(/^(ssh-|ecdsa-)[a-z0-9-]+ [A-Za-z0-9+/]+=*$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('are found in time that grows with the log only', () => {
    const hostile = `${begin}\n${'\u001b['.repeat(200_000)}\n${'\u001b]'.repeat(200_000)}\n${'ssh-rsa '.repeat(200_000)}\n${ed}\n${end}`;
    expect(consoleHostKeys(hostile)).toEqual([ed]);
  });
});
