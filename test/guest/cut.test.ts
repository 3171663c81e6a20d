import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { join } from 'node:path';
import { Baselines } from '../../src/guest/baselines.js';
import { checkOrder } from '../../src/guest/order.js';
import type { Guest } from '../../src/guest/port.js';
import { nulFields, scriptCommand } from '../../src/guest/quote.js';
import { guestScript } from '../../src/guest/scripts.js';
import type { LeaseId } from '../../src/pool/model.js';
import { Lab, type Machine, markerOf, orderFor, patience } from './machine.js';

jest.setTimeout(240_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  guest = lab.guest();
  expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
});
afterAll(() => lab.close());

/** The script, killed before its n-th command. Answers whether it was (it may end before). */
async function cutAt(script: 'stage' | 'scrub', commands: number, input: Buffer): Promise<boolean> {
  const bomb = `set -T; commands=0; trap '((++commands == ${commands})) && kill -9 $$' DEBUG\n`;
  const { code } = await machine.run(
    scriptCommand('root', bomb + guestScript(script), [String(Date.now())]),
    undefined,
    input,
  );
  return code !== 0;
}

/** Says with its reason after which cut a scrub failed. */
async function scrubs(lease: string, at: number): Promise<void> {
  const result = await guest.scrub(machine.target, lease as LeaseId, patience());
  expect([at, result.ok ? 'ok' : result.why]).toEqual([at, 'ok']);
}

function stageInput(lease: string): Buffer {
  const checked = checkOrder(
    orderFor(lease),
    { uidMin: 1000, gidMin: 1000 },
    'root',
    {},
    markerOf(orderFor(lease)),
  );
  if (!checked.ok) throw new Error(checked.why);
  return nulFields(checked.fields);
}

describe('a script killed in the middle', () => {
  it('a stage cut anywhere is completed by another, or scrubbed away', async () => {
    let cuts = 0;
    for (let at = 8; at < 400; at = Math.ceil(at * 1.22)) {
      const lease = `stage-${at}`;
      if (!(await cutAt('stage', at, stageInput(lease)))) {
        await guest.scrub(machine.target, lease as LeaseId, patience());
        break;
      }
      cuts += 1;
      const marker = await guest.probe(machine.target, patience());
      expect(marker).toMatchObject({ ok: true });
      if (cuts % 2 === 0) {
        expect(await guest.stage(machine.target, orderFor(lease), patience())).toEqual({ ok: true });
        const job = await machine.asJob(
          'id -Gn && cd "$HOME" && touch f .bashrc && stat -c %U:%G . .bashrc && ls -d /tmp/vmpool-*',
        );
        expect(job).toEqual({
          code: 0,
          out: `alice physics\nalice:alice\nalice:alice\n/tmp/vmpool-${lease}\n`,
        });
      }
      await scrubs(lease, at);
    }
    expect(cuts).toBeGreaterThan(8);
  });

  it('a scrub cut anywhere is completed by another', async () => {
    const baseline = await new Baselines(join(lab.folder, 'state/baselines')).read(machine.target.member);
    if (!baseline) throw new Error('the machine has no baseline');
    const { mounts, processes, tmp } = baseline.reference;
    const lists = [mounts, processes, tmp].flatMap((list) => [list.length, ...list]);
    let cuts = 0;
    for (let at = 40; at < 20_000; at = Math.ceil(at * 1.5)) {
      const lease = `scrub-${at}`;
      expect(await guest.stage(machine.target, orderFor(lease), patience())).toEqual({ ok: true });
      await machine.asJob(
        'touch ~/f /var/tmp/f; (setsid sleep 777 >/dev/null 2>&1 &); ipcmk -M 4096 >/dev/null',
      );
      const cut = await cutAt('scrub', at, nulFields([lease, 1000, ...lists], 'latin1'));
      await scrubs(lease, at);
      if (!cut) break;
      cuts += 1;
    }
    expect(cuts).toBeGreaterThan(5);
  });
});
