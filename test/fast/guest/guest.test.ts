import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Baselines } from '../../../src/guest/baselines.js';
import { referenceOf } from '../../../src/guest/compare.js';
import { createGuest } from '../../../src/guest/guest.js';
import type { Guest } from '../../../src/guest/port.js';
import { parseSurvey } from '../../../src/guest/survey.js';
import type { MemberName } from '../../../src/pool/model.js';
import { answer, FakeVm, newKey } from './fake-vm.js';
import { order } from './orders.js';

const boot = '7eaffe31-2330-454f-b14e-2fee70990786';
const probed = `boot ${boot}\nmarker -\nend\n`;
const never = new AbortController().signal;

let folder: string;
let vmKey: string;
let vm: FakeVm;
let guest: Guest;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmpool-guest-fast-'));
  writeFileSync(join(folder, 'key'), newKey(), { mode: 0o600 });
  vmKey = newKey();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const settings = {
  adminUser: 'root',
  hostKeyPolicy: 'console',
  markerSecret: 'secret of the test',
  clock: { now: () => 1_000_000 },
  log: () => undefined,
} as const;

beforeEach(async () => {
  vm = new FakeVm(vmKey);
  vm.behaviour = (_command, channel) => answer(channel, probed);
  await vm.start();
  guest = guestWith(5000);
});

function guestWith(limitMs: number): Guest {
  const limits = {
    probeMs: limitMs,
    stageMs: limitMs,
    contractMs: limitMs,
    connectMs: limitMs,
    handshakesAtOnce: 2,
  };
  return createGuest({
    ...settings,
    limits,
    privateKeyFile: join(folder, 'key'),
    stateDir: join(folder, 'state'),
  });
}
afterEach(async () => {
  await guest.close();
  await vm.stop();
});

describe('the warm connection', () => {
  it('is shared by calls at once and by later ones', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => guest.probe(vm.target, never)));
    expect(answers).toEqual(
      answers.map(() => ({
        ...{ ok: true, hostKeys: vm.target.hostKeys, marker: null, bootId: boot, measured: null },
      })),
    );
    await guest.probe(vm.target, never);
    expect(vm.connections).toBe(1);
  });

  it('is made again after it was lost, without a failed probe', async () => {
    await guest.probe(vm.target, never);
    await vm.cut();
    expect(await guest.probe(vm.target, never)).toMatchObject({ ok: true });
    expect(vm.connections).toBe(2);
  });

  it('is not used for another key or place', async () => {
    await guest.probe(vm.target, never);
    const hostKeys = ['ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ=='];
    expect(await guest.probe({ ...vm.target, hostKeys }, never)).toMatchObject({
      ok: false,
      step: 'host-key',
    });
    expect(await guest.probe(vm.target, never)).toMatchObject({ ok: true });
    expect(
      await guest.probe({ ...vm.target, endpoint: { host: '127.0.0.1', port: 1 } }, never),
    ).toMatchObject({ ok: false, step: 'tcp' });
  });

  it('is dropped when a command does not answer in time, and the next call begins anew', async () => {
    const hasty = guestWith(1000);
    expect(await hasty.probe(vm.target, never)).toMatchObject({ ok: true });
    vm.behaviour = () => undefined;
    const hung = await hasty.probe(vm.target, never);
    expect(hung).toEqual({
      ok: false,
      step: 'command',
      why: expect.stringContaining('no answer to the probe within 1 s'),
    });
    vm.behaviour = (_command, channel) => answer(channel, probed);
    expect(await hasty.probe(vm.target, never)).toMatchObject({ ok: true });
    expect(vm.connections).toBe(2);
    await hasty.close();
  });

  it('is waited for longer each time that the VM is there and too slow', async () => {
    const hasty = guestWith(500);
    vm.behaviour = (_command, channel) => {
      setTimeout(() => answer(channel, probed), 1200);
    };
    const answers: boolean[] = [];
    while (answers.length < 4 && answers.at(-1) !== true)
      answers.push((await hasty.probe(vm.target, never)).ok);
    expect(answers[0]).toBe(false);
    expect(answers.at(-1)).toBe(true);
    await hasty.close();
  });

  it('goes on for others when one caller gives up', async () => {
    const gaveUp = new AbortController();
    const first = guest.probe(vm.target, gaveUp.signal);
    const second = guest.probe(vm.target, never);
    gaveUp.abort();
    expect(await first).toMatchObject({ ok: false });
    expect(await second).toMatchObject({ ok: true });
    expect(await guest.probe(vm.target, AbortSignal.abort())).toMatchObject({ ok: false });
  });

  it('is not made after the close', async () => {
    await guest.close();
    expect(await guest.probe(vm.target, never)).toMatchObject({ ok: false });
    expect(vm.connections).toBe(0);
  });
});

describe('what a VM answers', () => {
  it('is a failed probe when it is no answer', async () => {
    vm.behaviour = (_command, channel) => {
      channel.stderr.write('bash: not found\u0007');
      answer(channel, 'Account expired\n', 1);
    };
    const probe = await guest.probe(vm.target, never);
    expect(probe).toMatchObject({
      ok: false,
      step: 'command',
      why: expect.stringContaining('bash: not found\\x07'),
    });
  });

  it('is cut off when it never ends', async () => {
    vm.behaviour = (_command, channel) => {
      const flood = (): void => {
        while (channel.write(Buffer.alloc(32768, 'x'))) {
          // Until the window is full.
        }
        channel.once('drain', flood);
      };
      flood();
    };
    expect(await guest.probe(vm.target, never)).toMatchObject({
      ok: false,
      step: 'command',
      why: expect.stringContaining('more than'),
    });
  });

  it('becomes the result of a stage, whatever it is', async () => {
    const results = [];
    for (const text of ['ok\n', 'refused uid held\n', 'foreign lease-9\n', 'failed disk full\n', 'hm\n']) {
      vm.behaviour = (_command, channel) => answer(channel, text);
      results.push(await guest.stage(vm.target, order, never));
    }
    expect(results).toEqual([
      { ok: true },
      { ok: false, kind: 'refused', why: 'uid held' },
      { ok: false, kind: 'foreign-marker', why: expect.stringContaining('lease-9') },
      { ok: false, kind: 'unreachable', why: 'disk full' },
      { ok: false, kind: 'unreachable', why: expect.stringContaining('hm') },
    ]);
  });

  it('numbers orders upwards, and counts on from a VM that has seen higher numbers, for that VM alone', async () => {
    let seen = 2_000_000;
    vm.behaviour = (command, channel) => {
      const number = Number(/'(\d+)'$/.exec(command)?.[1]);
      if (number > seen) seen = number;
      else return answer(channel, `stale ${seen}\n`);
      answer(channel, 'ok\n');
    };
    expect(await guest.stage(vm.target, order, never)).toEqual({ ok: true });
    expect(seen).toBe(2_000_001);
    expect(await guest.stage(vm.target, order, never)).toEqual({ ok: true });
    const numbers = vm.commands.map((command) => Number(/'(\d+)'$/.exec(command)?.[1]));
    expect(numbers).toEqual([1_000_000, 2_000_001, 1_000_001, 2_000_002]);
    vm.behaviour = (_command, channel) => answer(channel, 'stale 5\n');
    expect(await guest.stage(vm.target, order, never)).toEqual({
      ok: false,
      kind: 'unreachable',
      why: 'a later order was carried out on the VM before this one',
    });
  });

  it('names what the contract misses, a wrong clock included', async () => {
    vm.behaviour = (_command, channel) => answer(channel, 'missing useradd\nclock 5000\nend\n');
    const contract = await guest.contract(vm.target, never);
    expect(contract).toEqual({ ok: false, missing: ['useradd', 'a right clock: it is off by 4000 s'] });
  });

  it('is never asked for when the order cannot be met anywhere', async () => {
    const refused = await guest.stage(vm.target, { ...order, user: { ...order.user, uid: 5 } }, never);
    expect(refused).toMatchObject({ ok: false, kind: 'refused' });
    expect(vm.connections).toBe(0);
  });
});

describe('baselines', () => {
  const member = 'kept-1' as MemberName;
  const text = `boot\t${boot}\0self\t1\0tree\t${'a'.repeat(64)}\0strict\tf\t644\t0\t0\t1\t1\t1\t/x//\0end\0`;
  const survey = parseSurvey(Buffer.from(text));
  if (!survey) throw new Error('the survey of the test cannot be read');

  it('are kept as they were, and a damaged one is told from none', async () => {
    const baselines = new Baselines(join(folder, 'kept'));
    expect(await baselines.read(member)).toBeNull();
    await baselines.write(member, 5, referenceOf(survey), gzipSync(text));
    const baseline = await baselines.read(member);
    expect(baseline?.reference).toEqual(referenceOf(survey));
    expect(await baseline?.readTree()).toEqual(survey.tree);

    writeFileSync(join(folder, 'kept/kept-1.survey.gz'), gzipSync(text.replace('644', '666')));
    await expect(baseline?.readTree()).rejects.toThrow('damaged');
    const json = join(folder, 'kept/kept-1.json');
    writeFileSync(json, readFileSync(json, 'utf8').slice(0, -5));
    await expect(baselines.read(member)).rejects.toThrow('kept-1.json is damaged');
    await baselines.remove(member);
    expect(readdirSync(join(folder, 'kept'))).toEqual([]);
  });

  it('of everybody else are swept, with their connections', async () => {
    const sweeping = createGuest({
      ...settings,
      privateKeyFile: join(folder, 'key'),
      stateDir: join(folder, 'swept'),
    });
    await sweeping.keepOnly([]);
    const baselines = new Baselines(join(folder, 'swept/baselines'));
    const names = ['vm-1', 'vm-10', 'gone-1'] as MemberName[];
    for (const name of names) {
      await baselines.write(name, 5, referenceOf(survey), gzipSync(text));
      expect(await sweeping.probe({ ...vm.target, member: name }, never)).toMatchObject({ ok: true });
    }
    for (const file of ['gone-2.survey.gz', 'vm-1.json.new', 'README'])
      writeFileSync(join(folder, 'swept/baselines', file), '');
    await sweeping.keepOnly(['vm-1', 'vm-3'] as MemberName[]);
    expect(readdirSync(join(folder, 'swept/baselines')).sort()).toEqual([
      'README',
      'vm-1.json',
      'vm-1.survey.gz',
    ]);
    for (const name of names) await sweeping.probe({ ...vm.target, member: name }, never);
    // One of three was kept.
    expect(vm.connections).toBe(5);
    await sweeping.close();
  });

  it('have no names that climb', async () => {
    await expect(new Baselines(folder).read('../x' as MemberName)).rejects.toThrow("not a member's name");
  });
});
