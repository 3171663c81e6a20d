import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nagiosConfig, nagiosSettings } from '../../../stacks/services/nagios.js';
import type { ServiceMember } from '../../../stacks/services/plan.js';
import { nastyTexts, text } from './texts.js';

/**
 * Objects of a Nagios file as its own reader takes them: one directive a line, `;` begins a comment unless a backslash
 * stands before it, a backslash at the end joins the next line, `#` begins a comment line.
 */
const objectsOf = (file: string): readonly { kind: string; directives: readonly string[] }[] => {
  const objects: { kind: string; directives: string[] }[] = [];
  let open: { kind: string; directives: string[] } | null = null;
  for (const line of file.replace(/\\\n/g, '').split(/[\n\r\u2028\u2029\v\f]/)) {
    const words = line.replace(/(?<!\\);.*$/s, '').trim();
    if (words === '' || words.startsWith('#')) continue;
    const define = /^define\s+(\w+)\s*\{$/.exec(words);
    if (define !== null) {
      if (open !== null) throw new Error(`an object within another: ${line}`);
      open = { kind: define[1] ?? '', directives: [] };
    } else if (open === null) throw new Error(`outside of any object: ${line}`);
    else if (words === '}') {
      objects.push(open);
      open = null;
    } else open.directives.push(words.split(/\s/)[0] ?? '');
  }
  if (open !== null) throw new Error('an object without its end');
  return objects;
};

const member: ServiceMember = {
  ...{ name: 'vm-1', addresses: ['10.0.0.1'], flavor: 'm1', image: 'debian', cell: 'c1' },
  ...{ bornAt: '2026-11-23T10:00:00Z', generation: 'g1', serverId: null },
};
const settings = nagiosSettings.parse({ type: 'nagios', host: 'local' });

describe('the file for Nagios', () => {
  const plain = nagiosConfig(settings, { pool: 'p', members: [member], slots: {} }, 'id');
  const expected = objectsOf(plain);

  it('has the same objects and directives whatever the names of flavors, images and generations are', () => {
    expect(expected.map(({ kind }) => kind)).toEqual(['hostgroup', 'command', 'command', 'host', 'service']);
    const property = (flavor: string, image: string, generation: string): void => {
      const given = { ...member, flavor, image, generation };
      const file = nagiosConfig(settings, { pool: 'p', members: [given], slots: {} }, 'id');
      expect(objectsOf(file)).toEqual(expected);
      // `$NAME$` is a macro, `$$` is a dollar.
      const notes = file.split('\n').find((line) => line.includes(' notes ')) ?? '';
      expect(notes.replaceAll('$$', '')).not.toContain('$');
    };
    for (const nasty of nastyTexts) property(nasty, nasty, nasty);
    fc.assert(fc.property(text(), text(), text(), property), { numRuns: 200 });
  });

  it('of a site’s own template is filled once: a value is no template', () => {
    const own = nagiosSettings.parse({
      ...{ type: 'nagios', host: 'local' },
      hostTemplate: 'define host {\n  host_name @NAME@\n  notes @IMAGE@\n}',
    });
    const file = nagiosConfig(own, { pool: 'p', members: [{ ...member, image: '@NAME@' }], slots: {} }, 'id');
    expect(file).toContain('notes @NAME@\n');
  });
});
