import { describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { nulFields, scriptCommand, shellWord } from '../../../src/guest/quote.js';

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom("'", '"', '\\', '$', '`', '\n', '!', ';', '&', '*', '-', ' ', '\t', '#', '~', '(', 'é'),
    )
    .map((parts) => parts.join('')),
);
const withoutNul = hostile.map((text) => text.replaceAll('\0', '').replace(/[\ud800-\udfff]/g, ''));

describe('a shell word', () => {
  it('is to the shell exactly the text, whatever that holds', () => {
    fc.assert(
      fc.property(fc.array(withoutNul, { minLength: 20, maxLength: 60 }), (texts) => {
        const out = execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${texts.map(shellWord).join(' ')}`]);
        expect(out.toString('utf8')).toBe(texts.map((text) => `${text}\0`).join(''));
      }),
      { numRuns: 15 },
    );
  });

  it('cannot hold NUL, nor can a field', () => {
    expect(() => shellWord('a\0b')).toThrow('NUL');
    expect(() => nulFields(['a', 'b\0'])).toThrow('NUL');
  });
});

describe('a script', () => {
  it('gets its arguments and its input untouched', () => {
    fc.assert(
      fc.property(withoutNul, withoutNul, (argument, input) => {
        const command = scriptCommand(
          'root',
          'printf "%s\\0" "$1"; mapfile -d "" -t f; printf "%s" "${f[0]}"',
          [argument],
        );
        const { stdout } = spawnSync('/bin/sh', ['-c', command], { input: nulFields([input]) });
        expect(stdout.toString('utf8')).toBe(`${argument}\0${input}`);
      }),
      { numRuns: 15 },
    );
  });

  it('runs through sudo for another account than root, without asking for anything', () => {
    expect(scriptCommand('debian', 'true', ['a'])).toBe(
      "'sudo' '-n' '--' 'bash' '--noprofile' '--norc' '-c' 'true' 'vmpool' 'a'",
    );
  });
});
