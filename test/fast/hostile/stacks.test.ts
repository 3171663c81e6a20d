import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parsePoolOutputs } from '../../../src/engine/pool-outputs.js';
import type { CellName, InstallationId, MemberName } from '../../../src/pool/model.js';
import { cellConfigValues, parseCellConfig } from '../../../stacks/cell-config.js';
import { parsePoolConfig, poolKeys } from '../../../stacks/pool-config.js';
import type { RawConfig } from '../../../stacks/raw-config.js';
import { specOf } from '../pool/fixture.js';
import { json, spoilt, text } from './texts.js';

/** As the Pulumi program receives it: text as it is, everything else as JSON. */
const asText = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '');

describe('the config of a pool stack', () => {
  const valid: RawConfig = {
    ...{ 'vmpool:kind': 'pool', 'vmpool:min': '1', 'vmpool:max': '6', 'vmpool:spare': '1' },
    ...{ 'vmpool:maxAge': '12h', 'vmpool:flavor': 'small', 'vmpool:image': 'debian' },
    ...{ 'vmpool:networks': '["net0"]', 'vmpool:adminKey': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKey x' },
    ...{ 'vmpool:metadata': '{"site":"a"}', 'vmpool:services': '{}' },
  };
  const short = text().filter((one) => one.length < 200);
  const values = fc.oneof(
    text(),
    json().map(asText),
    fc.array(short, { maxLength: 3 }).map(asText),
    fc.dictionary(short, short, { maxKeys: 3 }).map(asText),
  );
  const services = json().map((settings) => asText({ hosts: settings }));
  const changed = fc.oneof(
    fc.tuple(fc.constantFrom<string>(...poolKeys), values),
    fc.tuple(fc.constant('services'), services),
    fc.tuple(text(), values),
  );

  it('of anything is named key by key, or gives a shape that the service takes over as it was published', () => {
    expect(parsePoolConfig(valid)).toMatchObject({ ok: true });
    let taken = 0;
    fc.assert(
      fc.property(fc.array(changed, { minLength: 1, maxLength: 2 }), (changes) => {
        const raw = Object.fromEntries([
          ...Object.entries(valid),
          ...changes.map(([key, value]) => [`vmpool:${key}`, value] as const),
        ]);
        const parsed = parsePoolConfig(raw);
        if (!parsed.ok) {
          expect(parsed.errors.length).toBeGreaterThan(0);
          for (const error of parsed.errors) expect(error.startsWith('vmpool:')).toBe(true);
          return;
        }
        taken += 1;
        const published = JSON.parse(JSON.stringify(parsed.value)) as unknown;
        expect(parsePoolOutputs(published)).toEqual({ ok: true, ...parsed.value });
      }),
      { numRuns: 1_000 },
    );
    expect(taken).toBeGreaterThan(50);
  });
});

describe('the config of a cell', () => {
  const written = cellConfigValues({
    installation: '5d0c7b1e-7c0a-4c5f-9a57-2f1d3c4b5a69' as InstallationId,
    ...{ pool: 'p', cell: 'c001' as CellName, timeoutSeconds: 600 },
    members: [1, 2].map((n) => ({
      name: `p-000${String(n)}-aaaa` as MemberName,
      ...{ generation: 'g1', spec: specOf('g1') },
    })),
  });
  const rawOf = (values: unknown): RawConfig =>
    Object.fromEntries(
      Object.entries(values as Record<string, unknown>).map(([key, value]) => [key, asText(value)]),
    );

  it('that was spoilt anywhere is refused with the reason, or names members that can be: it is never empty by mistake', () => {
    const whole = parseCellConfig(rawOf(written));
    expect(whole).toMatchObject({ ok: true, value: { members: [{ name: 'p-0001-aaaa' }, {}] } });
    let refused = 0;
    const anything = fc.oneof(
      spoilt(written).filter((value) => typeof value === 'object' && value !== null && !Array.isArray(value)),
      fc.oneof(text(), json().map(asText)).map((members) => ({ ...written, 'vmpool:members': members })),
    );
    fc.assert(
      fc.property(anything, (values) => {
        const raw = rawOf(values);
        const parsed = parseCellConfig(raw);
        if (!parsed.ok) {
          refused += 1;
          expect(parsed.errors.length).toBeGreaterThan(0);
          return;
        }
        const { members } = parsed.value;
        // An empty list is one that says so.
        if (members.length === 0) expect(JSON.parse(raw['vmpool:members'] ?? '')).toEqual([]);
        for (const { name } of members) expect(name).toMatch(/^[a-z0-9][a-z0-9-]{0,62}$/);
      }),
      { numRuns: 1_000 },
    );
    expect(refused).toBeGreaterThan(300);
  });
});
