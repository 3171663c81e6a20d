import { beforeAll, beforeEach, expect, it } from '@jest/globals';
import { hostScript } from '../../stacks/services/host-script.js';
import type { HostPlan, ServiceMember } from '../../stacks/services/plan.js';
import { planPuppet, puppetSettings } from '../../stacks/services/puppet.js';
import { until, type Ran } from '../services/enclosure.js';
import { cutOff, serviceInput, serviceMember } from '../support/service-host.js';
import { served, type PuppetServer } from './puppet-server.js';

const id = 'batch-svc-puppet';
const autosign = '/etc/puppet/vmpool/batch/autosign';
const anHourAgo = Date.now() - 3_600_000;

const vm = (n: number, bornMs = anHourAgo): ServiceMember =>
  serviceMember(n, { bornAt: new Date(bornMs).toISOString() });
const nameOf = (n: number): string => serviceMember(n).name;

/** What the pool `batch`, the first one that the CA asks, has on its host. */
export const batchPlan = (members: readonly ServiceMember[], changes: object = {}): HostPlan =>
  planPuppet(
    puppetSettings.parse({
      type: 'puppet',
      host: 'local',
      otherwise: '/etc/puppet/autosign.conf',
      ...changes,
    }),
    serviceInput(0, { members: [...members] }),
    id,
  );
export const runPlan = (ca: PuppetServer, mode: 'apply' | 'remove', plan: HostPlan): Promise<Ran> =>
  ca.run(`sh -s ${mode}`, hostScript(plan, { id, stateDir: '/var/lib/vmpool-services', place: 'here' }));

/** Each fault and each promise of the kind `puppet` with the real CA and real agents; begins before the CA is up. */
export const authorityTests = (theCa: () => PuppetServer): void => {
  let ca: PuppetServer;
  /** What an update said while the CA was down. */
  let whileDown: Ran;
  const run = (mode: 'apply' | 'remove', plan: HostPlan): Promise<Ran> => runPlan(ca, mode, plan);
  const apply = (members: readonly ServiceMember[], changes: object = {}): Promise<Ran> =>
    run('apply', batchPlan(members, changes));
  const follow = async (members: readonly ServiceMember[], changes: object = {}): Promise<void> =>
    expect(await apply(members, changes)).toMatchObject({
      code: 0,
      words: expect.stringMatching(/^vmpool: (the new configuration is loaded|everything)/),
    });
  const serialOf = (n: number): Promise<string> =>
    ca.must(`openssl x509 -noout -serial -in /etc/puppet/puppetserver/ca/signed/${nameOf(n)}.pem`);

  beforeAll(async () => {
    ca = theCa();
    // A VM with a certificate leaves while nobody listens; `--ca-client` signs without the server.
    await ca.must(`printf '# by hand\\nlogin.example.org\\n' >/etc/puppet/autosign.conf`);
    await follow([vm(1)]);
    await ca.must(`puppetserver ca generate --ca-client --certname ${nameOf(1)}`);
    whileDown = await apply([vm(2)]);
    await ca.start();
  }, 900_000);

  beforeEach(() => follow([]));

  it('revokes, when it is up again, the certificate of a VM that left while it was down', async () => {
    expect(whileDown).toMatchObject({ code: 1, words: expect.stringContaining('is not revoked') });
    // The next update, before this test, has caught up.
    expect(await ca.signed()).toEqual([]);
  });

  it("signs a member's agent, whom a person let in, and nobody else", async () => {
    await follow([vm(1)]);
    const member = await ca.agent('a', nameOf(1));
    expect(member).toMatchObject({ words: expect.stringContaining('Applied catalog') });
    expect(served(member)).toBe(true);
    expect(await ca.join('b', nameOf(2))).toBe(false);
    expect(await ca.join('c', 'login.example.org')).toBe(true);
    expect(await ca.signed()).toEqual([nameOf(1), 'login.example.org'].sort());
    // Who asked before it was known is in by a second request, not by the one that lay there.
    await follow([vm(1), vm(2)]);
    expect(await ca.signed()).not.toContain(nameOf(2));
    expect(await ca.join('b', nameOf(2))).toBe(true);
  });

  it("signs by the server's id, as a real agent gives it", async () => {
    const changes = { serverId: true };
    await follow([vm(1)], changes);
    const attributes = (machine: string, server: string | null) =>
      ca.must(`mkdir -p /run/vm/${machine}/etc
        printf 'extension_requests:\n  pp_instance_id: "%s"\n' ${String(server)} >/run/vm/${machine}/etc/csr_attributes.yaml`);
    await attributes('liar', vm(2).serverId);
    expect(await ca.join('liar', nameOf(1))).toBe(false);
    expect(await ca.signed()).not.toContain(nameOf(1));
    // What the liar left behind is out of the way at the next look.
    await follow([vm(1), vm(2)], changes);
    await attributes('honest', vm(1).serverId);
    expect(await ca.join('honest', nameOf(1))).toBe(true);
  });

  it('refuses a VM that left, without a restart, and gives its name a new certificate only', async () => {
    await follow([vm(1)]);
    expect(served(await ca.agent('old', nameOf(1)))).toBe(true);
    const before = await serialOf(1);
    const pid = await ca.must('cat /run/puppetserver.pid');
    await follow([vm(2)]);
    expect(await ca.signed()).not.toContain(nameOf(1));
    await until('the old agent to be refused', async () => !served(await ca.agent('old', nameOf(1))), 60_000);
    // With a new key it is a stranger, whose request then lies there.
    expect(await ca.join('thief', nameOf(1))).toBe(false);

    await follow([vm(1, Date.now()), vm(2)]);
    expect(await ca.join('new', nameOf(1))).toBe(true);
    expect(await serialOf(1)).not.toBe(before);
    expect(served(await ca.agent('old', nameOf(1)))).toBe(false);
    expect(await ca.join('thief', nameOf(1))).toBe(false);
    expect(await ca.must('cat /run/puppetserver.pid')).toBe(pid);
  });

  it('lets no VM inherit a certificate that was there before it', async () => {
    await ca.must(`puppetserver ca generate --certname ${nameOf(4)},${nameOf(5)}
      touch -d '2 hours ago' /etc/puppet/puppetserver/ca/signed/${nameOf(4)}.pem`);
    // One of them has its certificate from a person, after it was born: it keeps it while it lives.
    await follow([vm(4), vm(5)]);
    const signed = await ca.signed();
    expect(signed).not.toContain(nameOf(4));
    expect(signed).toContain(nameOf(5));
  });

  it('tells of what is wrong with the line in puppet.conf, also when no VM comes or goes', async () => {
    await follow([vm(1)]);
    await ca.must(
      'cp -p /etc/puppet/puppet.conf /run/kept; sed -i "s/^autosign.*/autosign = true/" /etc/puppet/puppet.conf',
    );
    const words = expect.stringContaining(`write autosign = ${autosign} into the section [server]`);
    expect(await apply([vm(1)])).toMatchObject({ code: 1, words });
    expect(await apply([vm(1), vm(2)])).toMatchObject({ code: 1, words });
    expect(await ca.must('cat /etc/puppet/vmpool/batch/members')).not.toContain(nameOf(2));
    await ca.must('cp -p /run/kept /etc/puppet/puppet.conf');
    await follow([vm(1)]);
  });

  it('tries the policy as the account of the server before it is in place', async () => {
    await follow([vm(1)]);
    await ca.must('printf secret >/run/challenge; chmod 600 /run/challenge');
    expect(await apply([vm(2)], { challengeFile: '/run/challenge' })).toMatchObject({
      code: 1,
      words: expect.stringMatching(/refused by its checker[^]*does not run as the account puppet/),
    });
    expect(await ca.must('cat /etc/puppet/vmpool/batch/members')).toContain(nameOf(1));
  });

  it('forgets nobody whom a run that was cut off has let in, and waits no longer than its limit for a CA that hangs', async () => {
    await follow([vm(1)]);
    const cut = { ...batchPlan([vm(6)]), reload: cutOff };
    expect((await run('apply', cut)).code).not.toBe(0);
    expect(await ca.join('cut', nameOf(6))).toBe(true);
    const signal = (name: string) => ca.must(`kill -${name} "$(cat /run/puppetserver.pid)"`);
    await signal('STOP');
    try {
      expect(await apply([vm(2)], { hookLimitSeconds: 20 })).toMatchObject({
        code: 1,
        words: expect.stringContaining('not done within 20 seconds'),
      });
    } finally {
      await signal('CONT');
    }
    expect(await ca.signed()).toContain(nameOf(6));
    await follow([vm(2)]);
    expect(await ca.signed()).toEqual(['login.example.org']);
  });

  it('leaves with the stack, and what a person wrote or signed stays', async () => {
    await follow([vm(1)]);
    expect(await ca.join('last', nameOf(1))).toBe(true);
    const conf = await ca.must('cat /etc/puppet/puppet.conf /etc/puppet/autosign.conf');
    expect(await run('remove', batchPlan([vm(1)]))).toMatchObject({ code: 0 });
    expect(await ca.signed()).toEqual(['login.example.org']);
    expect(await ca.must('cat /etc/puppet/puppet.conf /etc/puppet/autosign.conf')).toBe(conf);
    expect((await ca.run('ls -d /etc/puppet/vmpool /var/lib/vmpool-services/*')).code).not.toBe(0);
    expect(await ca.join('after', nameOf(7))).toBe(false);
  });
};
