import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmodSync, copyFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { planTorque, torqueSettings } from '../../stacks/services/torque.js';
import type { HostPlan } from '../../stacks/services/plan.js';
import { cutOff, serviceInput, ServiceHostDirectory, type HostRun } from '../support/service-host.js';

interface Node {
  np: number;
  properties: string[];
  /** Job by processor, or by processors as Torque 6 writes them: `0-1`. */
  jobs: Record<string, string>;
}
interface Torque {
  down: boolean;
  old: boolean;
  nodes: Record<string, Node>;
  calls: string[];
  /** What the server says no to, as a regular expression. */
  refuses?: string;
}

/** Torque is in no package registry: its two commands are stand-ins that refuse what is not in their grammar. */
describe("Torque's np", () => {
  let host: ServiceHostDirectory;
  beforeEach(() => {
    host = new ServiceHostDirectory();
    const source = join(dirname(fileURLToPath(import.meta.url)), 'torque-stand-in.mjs');
    for (const name of ['qmgr', 'pbsnodes']) {
      copyFileSync(source, host.file(`${name}.mjs`));
      writeFileSync(
        host.file(name),
        `#!/bin/sh\nTORQUE_STATE=${host.file('torque.json')} exec ${process.execPath} --input-type=module -e 'process.argv.splice(1, 0, "${name}"); await import("${host.file(`${name}.mjs`)}")' -- "$@"\n`,
      );
      chmodSync(host.file(name), 0o755);
    }
    save({
      down: false,
      old: false,
      calls: [],
      nodes: {
        wn1: { np: 1, properties: ['fast'], jobs: {} },
        'wn2.site': { np: 4, properties: [], jobs: {} },
      },
    });
  });
  afterEach(() => host.close());

  const load = (): Torque => JSON.parse(readFileSync(host.file('torque.json'), 'utf8')) as Torque;
  const save = (torque: Torque): void => writeFileSync(host.file('torque.json'), JSON.stringify(torque));
  const change = (how: (torque: Torque) => void): void => {
    const torque = load();
    how(torque);
    save(torque);
  };
  const plan = (slots: Record<string, number>, properties: string[] = ['pool-@POOL@']): HostPlan =>
    planTorque(
      torqueSettings.parse({
        type: 'torque',
        host: 'local',
        qmgr: host.file('qmgr'),
        pbsnodes: host.file('pbsnodes'),
        nodes: { wn2: 'wn2.site' },
        properties,
      }),
      serviceInput(0, { slots }),
    );
  const apply = (slots: Record<string, number>, properties?: string[]): Promise<HostRun> =>
    host.run('apply', host.script(plan(slots, properties)));
  const done = async (slots: Record<string, number>, properties?: string[]): Promise<void> =>
    expect(await apply(slots, properties)).toMatchObject({
      code: 0,
      words: expect.stringContaining('is loaded'),
    });

  it("follows the pool's max, and the properties with it; a person's stay", async () => {
    await done({ wn1: 10, wn2: 10 });
    expect(load().nodes).toEqual({
      wn1: { np: 10, properties: ['fast', 'pool-batch'], jobs: {} },
      'wn2.site': { np: 10, properties: ['pool-batch'], jobs: {} },
    });
    await done({ wn1: 12, wn2: 10 }, ['fast', 'big']);
    expect(load().nodes['wn1']).toEqual({ np: 12, properties: ['fast', 'big'], jobs: {} });
    const { calls } = load();
    expect((await apply({ wn1: 12, wn2: 10 }, ['fast', 'big'])).words).toContain('as it should be');
    expect(load().calls).toEqual(calls);
  });

  it.each([
    [false, { '0-1': '12.server', '7': '13.server' }],
    [false, { '2': '12.server', '3-7': '13.server' }],
    [true, { '0': '12.server', '7': '13.server' }],
  ])(
    'takes no processor from under a job, and follows when it has ended (old Torque: %j)',
    async (old, jobs) => {
      await done({ wn1: 10 });
      change((torque) => {
        torque.old = old;
        (torque.nodes['wn1'] as Node).jobs = jobs;
      });
      const late = await apply({ wn1: 3 });
      expect(late).toMatchObject({
        code: 1,
        words: expect.stringContaining(
          'wn1 keeps np = 8 instead of 3 until the job on its processor 7 has ended',
        ),
      });
      expect(load().nodes['wn1']?.np).toBe(8);
      change((torque) => ((torque.nodes['wn1'] as Node).jobs = {}));
      await done({ wn1: 3 });
      expect(load().nodes['wn1']?.np).toBe(3);
    },
  );

  it('says which node Torque does not know, and that Torque is down, and changes nothing', async () => {
    const unknown = await apply({ wn1: 5, wn9: 5 });
    expect(unknown.words).toMatch(/refused by its checker[^]*wn9.*Unknown node/);
    expect(load().calls).toEqual([]);
    change((torque) => (torque.down = true));
    expect((await apply({ wn1: 5 })).words).toMatch(/Connection refused/);
    change((torque) => (torque.down = false));
    await done({ wn1: 5 });
  });

  it('says which command Torque refused, and brings it to the newest numbers when it no longer does', async () => {
    await done({ wn1: 2 });
    change((torque) => (torque.refuses = 'properties .= other'));
    const refused = await apply({ wn1: 6 }, ['pool-@POOL@', 'other']);
    expect(refused).toMatchObject({
      code: 1,
      words: expect.stringMatching(/qmgr: set node wn1 properties \+= other/),
    });
    expect(load().nodes['wn1']).toMatchObject({ properties: ['fast', 'pool-batch'] });
    change((torque) => delete torque.refuses);
    await done({ wn1: 7 }, ['pool-@POOL@', 'other']);
    expect(load().nodes['wn1']).toMatchObject({ np: 7, properties: ['fast', 'pool-batch', 'other'] });
  });

  it('gives back what a node had when its worker or the whole service goes', async () => {
    await done({ wn1: 10, wn2: 10 });
    await done({ wn1: 10 });
    expect(load().nodes['wn2.site']).toEqual({ np: 4, properties: [], jobs: {} });
    expect(await host.run('remove', host.script(plan({ wn1: 10 })))).toMatchObject({ code: 0 });
    expect(load().nodes['wn1']).toEqual({ np: 1, properties: ['fast'], jobs: {} });
    expect(readdirSync(host.stateDir)).toEqual([]);
  });

  it('finishes what was cut off between two calls', async () => {
    await done({ wn1: 2 });
    const cut = plan({ wn1: 6 }, ['other']);
    const killing = (): string => `torque_has() { ${cutOff};`;
    const reload = cut.reload.replace('torque_has() {', killing);
    const killed = await host.run('apply', host.script({ ...cut, reload }));
    expect(killed.code).not.toBe(0);
    expect(load().nodes['wn1']).toMatchObject({ np: 6, properties: ['fast', 'pool-batch'] });
    await done({ wn1: 6 }, ['third']);
    expect(load().nodes['wn1']).toMatchObject({ np: 6, properties: ['fast', 'third'] });
  });
});
