import fc from 'fast-check';

// The same texts in every run: what is found by chance once belongs into a test of its own.
fc.configureGlobal({ seed: 20 });

/** What attackers write where a name or a text is expected. */
export const nastyTexts: readonly string[] = [
  '',
  ' ',
  '-rf',
  '--help',
  '-oProxyCommand=touch${IFS}/tmp/hostile',
  '; touch /tmp/hostile',
  '$(touch /tmp/hostile)',
  '`touch /tmp/hostile`',
  "'; touch /tmp/hostile; '",
  '" && touch /tmp/hostile && "',
  'a\nb',
  'a\r\nb: c',
  'a\0b',
  '../../etc/passwd',
  '/etc/passwd',
  '..',
  '.',
  '~root',
  '*',
  '{a,b}',
  '[x]',
  '%s%n%d',
  '%0a%00',
  '${HOME}',
  '\\',
  "'",
  '"',
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '&lt;b&gt;',
  ']]>',
  '\u001b[2J\u001b]0;title\u0007',
  '\u009b2J',
  '\u202egnp.exe',
  '\u2028',
  '\ud800',
  '\ufeff',
  'ＡＢＣ',
  'ﬁ',
  '𝒜',
  'constructor',
  '__proto__',
  'hasOwnProperty',
  'toString',
  'null',
  'NaN',
  '1e400',
  '0x10',
  '-1',
  '9'.repeat(400),
  'x'.repeat(1024 * 1024),
];

/** Any text: nasty ones, random ones of every kind of character, and mixtures. */
export const text = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom(...nastyTexts),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.array(fc.constantFrom(...nastyTexts.slice(0, -1)), { maxLength: 5 }).map((parts) => parts.join('')),
  );

/** Any JSON value, nasty texts as keys and values among them. */
export const json = (): fc.Arbitrary<unknown> =>
  fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, true, false, 0, -1, 1.5, Number.MAX_SAFE_INTEGER, 1e308),
      text().filter((one) => one.length < 1000),
      fc.array(tie('value'), { maxLength: 4 }),
      fc
        .array(
          fc.tuple(
            text().filter((one) => one.length < 1000),
            tie('value'),
          ),
          { maxLength: 4 },
        )
        // As JSON.parse makes them: a key named __proto__ is one like any other.
        .map((entries) => Object.fromEntries(entries) as Record<string, unknown>),
    ),
  })).value;

/** A valid object with one field, somewhere within, replaced, removed or added. */
export const spoilt = (valid: object): fc.Arbitrary<unknown> => {
  const paths: (readonly string[])[] = [];
  const walk = (value: unknown, path: readonly string[]): void => {
    paths.push(path);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, child] of Object.entries(value)) walk(child, [...path, key]);
  };
  walk(valid, []);
  return fc
    .tuple(fc.constantFrom(...paths), fc.constantFrom('replace', 'remove', 'add'), json(), text())
    .map(([path, how, value, name]) => {
      if (path.length === 0) return how === 'replace' ? value : valid;
      const copy = structuredClone(valid) as Record<string, unknown>;
      let at = copy;
      for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
      const last = path.at(-1) ?? '';
      if (how === 'replace') at[last] = value;
      else if (how === 'add') at[name.slice(0, 100)] = value;
      else if (Array.isArray(at)) at.splice(Number(last), 1);
      else Reflect.deleteProperty(at, last);
      return copy;
    });
};
