import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { makeKeyPair } from '../../hooks/src/ssh-key.js';
import { alice, bob, Site } from './site.js';

jest.setTimeout(90_000);

const rounds = 12;
const clean = { PATH: '/usr/bin:/bin' };

describe('what the hooks cost a job on a Free VM', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ vms: 2 });
  });
  afterAll(() => site?.close());

  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const began = performance.now();
    await work();
    return performance.now() - began;
  };

  it('is told in milliseconds, beside what Node and ssh alone take', async () => {
    const pair = makeKeyPair('floor');
    const vm = site.service.machine('pool-2');
    vm?.stage(bob, pair.publicKey);
    site.file('/home/vmpbob/key', bob, pair.privateKey, 0o600);
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
    const ssh = [
      ...['ssh', '-F', 'none', '-i', '/home/vmpbob/key', ...options.flatMap((one) => ['-o', one])],
      ...['-p', String(vm?.port), `${bob.name}@${vm?.host}`, 'true'],
    ];
    const columns: Record<string, number[]> = {};
    const add = (name: string, ms: number): void => void (columns[name] ??= []).push(ms);
    for (let i = 0; i < rounds; i++) {
      add('node -e 0', await timed(() => site.mom.runAsUser(bob, [process.execPath, '-e', '0'], clean)));
      add('ssh host true', await timed(() => site.mom.runAsUser(bob, ssh, clean)));
      const id = site.mom.submit({ user: alice.name, script: 'true' });
      add('prologue', await timed(() => site.mom.running(id)));
      const ended = (): boolean => site.mom.state(id) !== 'running';
      add('job starter with its ssh', await timed(() => site.mom.until(id, ended, 'its end')));
      expect((await site.mom.finished(id)).exitStatus).toBe(0);
      add('epilogue', site.mom.epilogues(id)[0]?.ms ?? 0);
    }
    const lines = Object.entries(columns).map(([name, all]) => {
      const sorted = all.map((ms) => Math.round(ms)).sort((a, b) => a - b);
      return `${name}: least ${sorted[0]} ms, median ${sorted[rounds / 2]} ms`;
    });
    console.log(lines.join('\n'));
    expect(lines).toHaveLength(5);
  });
});
