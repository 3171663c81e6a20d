import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nagiosConfig, nagiosSettings, nagiosValue } from '../../../../stacks/services/nagios.js';
import { serviceInput, serviceMember } from '../../../support/service-host.js';

const settings = (changes: object = {}) =>
  nagiosSettings.parse({ type: 'nagios', host: 'local', ...changes });
const id = 'batch-svc-nagios';

/** Objects as Nagios Core's documentation ("Object Definitions") reads them: a directive a line, `;` begins a comment. */
const objectsIn = (text: string): { kind: string; directives: Map<string, string> }[] => {
  const objects: { kind: string; directives: Map<string, string> }[] = [];
  let open: Map<string, string> | null = null;
  for (const raw of text.split('\n')) {
    const line = raw
      .replace(/(?<!\\);.*$/, '')
      .replaceAll('\\;', ';')
      .trim();
    if (line === '' || line.startsWith('#')) continue;
    const begins = /^define (\w+) \{$/.exec(line);
    if (open === null && begins?.[1] !== undefined) {
      open = new Map();
      objects.push({ kind: begins[1], directives: open });
    } else if (open !== null && line === '}') open = null;
    else {
      const directive = /^(\S+)\s+(.*)$/.exec(line);
      if (open === null || directive === null) throw new Error(`Nagios cannot read: ${raw}`);
      open.set(directive[1] ?? '', directive[2] ?? '');
    }
  }
  if (open !== null) throw new Error('an object does not end');
  return objects;
};

describe('the hosts for Nagios', () => {
  it('are one for each VM with its facts, in the pool’s group, with a check by SSH; none without VMs', () => {
    const objects = objectsIn(nagiosConfig(settings(), serviceInput(2), id));
    const count = (kind: string): number => objects.filter((object) => object.kind === kind).length;
    expect([count('host'), count('service'), count('hostgroup'), count('command')]).toEqual([2, 2, 1, 2]);
    expect(Object.fromEntries(objects.find(({ kind }) => kind === 'host')?.directives ?? [])).toMatchObject({
      host_name: 'batch-1-abcd',
      address: '127.0.0.2',
      hostgroups: 'vmpool-batch',
      check_command: 'vmpool-batch-ping',
      notes: expect.stringMatching(/^flavor m1.large, image worker-2026-11, cell c001, .*born 2026-11-25T10/),
    });
    expect(objectsIn(nagiosConfig(settings(), serviceInput(0), id))).toEqual([]);
  });

  it('keep to their shape whatever is in a value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (flavor, image) => {
        const members = [serviceMember(1, { flavor, image }), serviceMember(2)];
        const objects = objectsIn(nagiosConfig(settings(), serviceInput(0, { members }), id));
        const plain = objectsIn(nagiosConfig(settings(), serviceInput(2), id));
        expect(objects.map(({ kind, directives }) => [kind, ...directives.keys()])).toEqual(
          plain.map(({ kind, directives }) => [kind, ...directives.keys()]),
        );
        expect(objects.at(-2)).toEqual(plain.at(-2));
      }),
    );
  });

  it('have values without line ends, comments or macros', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const value = nagiosValue(text);
        expect(value).not.toMatch(/[\n\r\0]|(?<!\\);|\\$/);
        expect(value.replaceAll('$$', '')).not.toContain('$');
      }),
    );
  });

  it('are the site’s own where it has a template, with what is not ours in it left as it is', () => {
    const hostTemplate = 'define host {\n  use site\n  host_name @NAME@\n  notes @POOL@ @UNKNOWN@ $USER1$\n}';
    const [, , , one] = objectsIn(nagiosConfig(settings({ hostTemplate }), serviceInput(1), id));
    expect(one?.directives.get('notes')).toBe('batch @UNKNOWN@ $USER1$');
  });
});
