import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { puppetMembers, puppetPolicy, puppetSettings } from '../../stacks/services/puppet.js';
import { serviceInput, serviceMember } from '../support/service-host.js';

/** The policy as a program, given requests as agents make them. */
describe("Puppet's autosign policy, run", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vmpool-policy-'));
    execFileSync('openssl', ['genrsa', '-out', join(folder, 'key'), '2048'], { stdio: 'ignore' });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const name = serviceMember(1).name;
  const server = serviceMember(1).serverId ?? '';
  const write = (changes: object = {}, members = [serviceMember(1)]): void => {
    const settings = puppetSettings.parse({ type: 'puppet', host: 'local', ...changes });
    writeFileSync(join(folder, 'members'), puppetMembers(settings, serviceInput(0, { members }), 'x'));
    writeFileSync(join(folder, 'autosign'), puppetPolicy(settings, ['batch', 'gpu'], 'x'), { mode: 0o755 });
  };
  /** csr_attributes.yaml of Puppet, as OpenSSL writes it. */
  const request = (cn: string, { instance = '', challenge = '' } = {}): string => {
    const config = [
      'oid_section = oids',
      '[oids]\npp_instance_id = 1.3.6.1.4.1.34380.1.1.2',
      '[req]\nprompt = no\ndistinguished_name = dn',
      challenge === '' ? '' : 'attributes = attributes',
      instance === '' ? '' : 'req_extensions = extensions',
      `[dn]\nCN = ${cn}`,
      challenge === '' ? '' : `[attributes]\nchallengePassword = ${challenge}`,
      instance === '' ? '' : `[extensions]\npp_instance_id = ASN1:UTF8String:${instance}`,
    ];
    writeFileSync(join(folder, 'openssl.cnf'), config.join('\n'));
    return execFileSync(
      'openssl',
      ['req', '-new', '-key', join(folder, 'key'), '-config', join(folder, 'openssl.cnf')],
      { encoding: 'utf8' },
    );
  };
  const ask = (asked: string, csr: string) => {
    const { status, stderr } = spawnSync(join(folder, 'autosign'), [asked], { input: csr, encoding: 'utf8' });
    return { yes: status === 0, why: stderr };
  };

  it('says yes to a member and no to everybody else', () => {
    write();
    expect(ask(name, request(name))).toEqual({ yes: true, why: '' });
    expect(ask('batch-9-zzzz', request('batch-9-zzzz')).why).toContain('is no VM of the pool (any more)');
    expect(ask('elsewhere', request('elsewhere'))).toEqual({ yes: false, why: '' });
    expect(ask('', request(name)).yes).toBe(false);
    expect(ask(name, request('batch-9-zzzz')).why).toContain("is another's");
    expect(ask(name, 'no request').yes).toBe(false);
    expect(ask(`${name}\n`, request(name)).yes).toBe(false);
    write({}, []);
    expect(ask(name, request(name)).yes).toBe(false);
  });

  it('asks for the id of the very server', () => {
    write({ serverId: true }, [serviceMember(1), serviceMember(2, { serverId: null })]);
    expect(ask(name, request(name, { instance: server })).yes).toBe(true);
    expect(ask(name, request(name)).why).toContain('does not name its server');
    expect(ask(name, request(name, { instance: `${server}0` })).why).toContain(`is server ${server}`);
    const unknown = serviceMember(2).name;
    expect(ask(unknown, request(unknown, { instance: '-' })).yes).toBe(false);
  });

  it('asks for the challenge password', () => {
    const challengeFile = join(folder, 'challenge');
    writeFileSync(challengeFile, 'open sesame\n');
    write({ challengeFile });
    expect(ask(name, request(name, { challenge: 'open sesame' })).yes).toBe(true);
    for (const challenge of ['', 'open', 'open sesame street'])
      expect(ask(name, request(name, { challenge })).why).toContain('does not know the challenge password');
    writeFileSync(challengeFile, '\n');
    expect(ask(name, request(name)).why).toContain('is empty');
    expect(ask(name, request(name)).why).not.toContain('sesame');
  });

  it("leaves other names to the site's own list or policy, and never one of the pool's", () => {
    const otherwise = join(folder, 'theirs');
    writeFileSync(otherwise, '# ours\nlogin.example.org # by hand\n*.web.example.org\n*\n', { mode: 0o644 });
    write({ otherwise, certname: '@NAME@.web.example.org' });
    for (const [asked, yes] of [
      ['login.example.org', true],
      ['a.web.example.org', true],
      ['web.example.org', false],
      ['mail.example.org', false],
      ['batch-0007-gone.web.example.org', false],
      ['gpu-0007-gone.web.example.org', false],
      ['xgpu-0007-gone.web.example.org', true],
      [`${name}.web.example.org`, true],
    ] as const)
      expect({ asked, yes: ask(asked, request(asked)).yes }).toEqual({ asked, yes });
    rmSync(otherwise);
    writeFileSync(
      otherwise,
      '#!/bin/sh\ngrep -q "BEGIN CERTIFICATE REQUEST" && [ "$1" = db.example.org ]\n',
      {
        mode: 0o755,
      },
    );
    expect(ask('db.example.org', request('db.example.org')).yes).toBe(true);
    expect(ask('mail.example.org', request('mail.example.org')).yes).toBe(false);
    expect(ask('batch-0007-gone.web.example.org', request('x')).yes).toBe(false);
  });

  it("may be the first of two pools, before and after the other's is there", () => {
    write({ otherwise: '/etc/puppet/vmpool/other/autosign' });
    expect(spawnSync(join(folder, 'autosign'), ['--check']).status).toBe(0);
    expect(ask('elsewhere', request('elsewhere'))).toEqual({ yes: false, why: '' });
    write({ otherwise: join(folder, 'not-there') });
    expect(spawnSync(join(folder, 'autosign'), ['--check'], { encoding: 'utf8' })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('not-there is not there'),
    });
  });

  it('signs nobody by a list that is damaged', () => {
    write();
    writeFileSync(join(folder, 'members'), `# x\n${name} 1795600800\n`);
    expect(ask(name, request(name)).why).toContain('not a line of ours');
  });
});
