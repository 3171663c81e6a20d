import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  planPuppet,
  puppetMembers,
  puppetPolicy,
  puppetSettings,
} from '../../../../stacks/services/puppet.js';
import { rubyString } from '../../../../stacks/services/puppet-policy.js';
import { followedFrom, parseServices } from '../../../../stacks/services/registry.js';
import { serviceInput, serviceMember } from '../../../support/service-host.js';

const parse = (changes: object) => puppetSettings.safeParse({ type: 'puppet', host: 'local', ...changes });
const settings = (changes: object = {}) => puppetSettings.parse(parse(changes).data);
const id = 'batch-svc-puppet';

describe("the list for Puppet's certificate authority", () => {
  it('has certname, birth and server of each member', () => {
    const members = [serviceMember(1), serviceMember(2, { serverId: null })];
    expect(puppetMembers(settings({ certname: '@NAME@.hpc.example.org' }), serviceInput(0, { members }), id))
      .toBe(`# vmpool:batch-svc-puppet writes this file; changes by hand are lost.
batch-1-abcd.hpc.example.org 1795600800 5e55a3c0-0000-4000-8000-000000000001
batch-2-abcd.hpc.example.org 1795600800 -
`);
  });

  it('has the birth of the disk, where a VM was rebuilt since it was born', () => {
    const members = [serviceMember(1, { diskSince: '2026-11-25T11:00:00.500Z' })];
    expect(puppetMembers(settings(), serviceInput(0, { members }), id)).toContain('batch-1-abcd 1795604400 ');
  });

  it('has three words in every line, whatever a member is', () => {
    const word = fc.string({ unit: 'binary', maxLength: 40 });
    fc.assert(
      fc.property(word, word, (bornAt, serverId) => {
        const members = [serviceMember(1, { bornAt, serverId }), serviceMember(2)];
        const [, ...lines] = puppetMembers(settings(), serviceInput(0, { members }), id).split('\n');
        expect(lines).toHaveLength(3);
        for (const line of lines.slice(0, 2)) expect(line).toMatch(/^batch-\d-abcd \d+ [A-Za-z0-9-]+$/);
      }),
    );
  });

  it('knows a VM from its address on, and needs no type where the service is called puppet', () => {
    expect(followedFrom('puppet')).toBe('disk');
    expect(parseServices({ puppet: { host: 'local' } })).toMatchObject({ ok: true });
  });
});

describe("Puppet's autosign policy", () => {
  it('is marked as ours, with the settings as constants', () => {
    const text = puppetPolicy(
      settings({
        ruby: '/opt/puppetlabs/puppet/bin/ruby',
        challengeFile: '/etc/puppet/challenge',
        otherwise: '/etc/puppet/autosign.conf',
        serverId: true,
        certname: '@NAME@.example.org',
      }),
      ['batch', 'gpu'],
      id,
    );
    expect(text.split('\n').slice(0, 7)).toEqual([
      '#!/opt/puppetlabs/puppet/bin/ruby',
      '# vmpool:batch-svc-puppet writes this file; changes by hand are lost.',
      'SERVER_ID = true',
      "CHALLENGE = '/etc/puppet/challenge'",
      "OTHERWISE = '/etc/puppet/autosign.conf'",
      "POOLS = '/etc/puppet/vmpool/'",
      String.raw`OURS = Regexp.new('\A(?:' + Regexp.union('batch', 'gpu').source + ')-\d+-[a-z0-9]+' + Regexp.escape('.example.org') + '\z')`,
    ]);
  });

  it('writes no string that ends before its end', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const inside = rubyString(text).slice(1, -1);
        expect(inside.replace(/\\[\\']/g, '')).not.toMatch(/['\\]/);
        expect(inside.replace(/\\([\\'])/g, '$1')).toBe(text);
      }),
    );
  });

  it('refuses settings that would be another word in a file or a shell', () => {
    for (const changes of [
      { certname: 'fixed.example.org' },
      { certname: '@NAME@.Example.org' },
      { certname: '@NAME@ x' },
      { certname: '@NAME@/../x' },
      { account: '-root' },
      { otherwise: "/etc/a'b" },
      { challengeFile: 'relative' },
      { ruby: '/usr/bin/ruby -x' },
      { directory: '/etc/$(id)' },
      { unknown: 1 },
    ])
      expect(parse(changes).success).toBe(false);
  });

  it('lies beside its list, may be run, and both can be read by the server', () => {
    const { files } = planPuppet(settings(), serviceInput(1), id);
    expect(files.map(({ path, mode }) => [path, mode])).toEqual([
      ['/etc/puppet/vmpool/batch/members', '0644'],
      ['/etc/puppet/vmpool/batch/autosign', '0755'],
    ]);
  });
});
