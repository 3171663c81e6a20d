import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from '@jest/globals';
import { policy, Story } from '../support/openstack-story.js';

describe('a pool on a real OpenStack in trouble', () => {
  const story = new Story({ min: 1, max: 3 });

  story.chapter(
    'says why the cloud gives nothing (no valid host, quota), keeps the request and goes on',
    async () => {
      const { pool, lab } = story;
      const told = (reason: RegExp): Promise<unknown> =>
        pool.until(`a problem like ${String(reason)}`, ({ problems }) =>
          problems.some((text) => reason.test(text)),
        );
      await pool.ready(2);
      await lab.host('disabled');
      await pool.ask(3);
      await told(/No valid host/);
      await lab.quota(1);
      await lab.host('enabled');
      await told(/quota/i);
      expect((await pool.status()).counts.waiting).toBe(1);
      await lab.quota(-1);
      await pool.ready(3);
      await pool.calm(0, 2);
      expect(await lab.servers()).toHaveLength(2);
    },
  );

  story.chapter('loses nothing when it is killed while it scales up', async () => {
    const { pool, lab } = story;
    const before = [await pool.ready(2), await pool.ready(3)];
    const id = await pool.ask(4);
    await story.servers('a server on its way', (all) => all.length === 3);
    await pool.kill();
    await pool.start();
    expect((await pool.ready(4)).id).toBe(id);
    const after = [await pool.ready(2), await pool.ready(3)];
    expect(after.map(({ id, vm }) => [id, vm])).toEqual(before.map(({ id, vm }) => [id, vm]));
    for (const { vm } of after) expect(await story.actions(vm.member)).toEqual(['create']);
    await pool.calm(0, 3);
    expect(await lab.servers()).toHaveLength(3);
  });

  story.chapter('goes on leasing, scrubbing and giving back while the API is down for a minute', async () => {
    const { pool, lab } = story;
    lab.api('down');
    try {
      const minute = sleep(60_000);
      await pool.release(2, 3);
      await pool.ready(5);
      await pool.until('the trouble on the status', ({ problems }) =>
        problems.some((text) => text.includes('does not answer')),
      );
      await pool.release(4);
      // As the worker's timer would: one that is silent is a difference, too.
      await pool.sync(5);
      expect(await story.differences()).toEqual([
        expect.stringMatching(/^operator cloud: the cloud cannot be asked: /),
      ]);
      await minute;
    } finally {
      lab.api('up');
    }
    await pool.calm(0, 1);
    await pool.release(5);
    await story.freeVm();
    await story.servers('one server', (all) => all.length === 1);
  });

  story.chapter('finds a VM whose network is cut Unusable, terminates and replaces it', async () => {
    const { pool, lab } = story;
    const vm = await story.freeVm();
    await lab.cutNetwork(await lab.serverId(vm));
    await pool.until(`${vm} to be Unusable`, ({ members }) =>
      members.some(({ name, state }) => name === vm && state === 'Unusable'),
    );
    await story.gone(vm);
    expect(await story.freeVm()).not.toBe(vm);
  });

  story.chapter('deletes a VM stuck in BUILD; with reuse never, no VM sees two jobs', async () => {
    const { pool, lab, site } = story;
    await pool.reconfigure({ reuse: 'never' });
    const first = await pool.ready(6);
    lab.compute('hangs');
    try {
      await pool.reconfigure({ bootLimit: '20s' });
      await pool.ask(7);
      const stuck = await story.servers('a server in BUILD', (all) =>
        all.find(({ status }) => status === 'BUILD'),
      );
      await story.noServer(stuck.name);
    } finally {
      lab.compute('works');
    }
    await pool.reconfigure({ bootLimit: policy.bootLimit });
    const second = await pool.ready(7);
    expect(second.vm.member).not.toBe(first.vm.member);
    await site.shape({ min: 0 });
    await pool.release(6, 7);
    for (const { vm } of [first, second]) await story.gone(vm.member);
    const cleaned = pool.lines.filter(
      ({ event, vm, msg }) => event === 'vm' && vm === second.vm.member && msg.includes('scrubbing -> Free'),
    );
    expect(cleaned).toEqual([]);
    await pool.calm(0, 0);
    await story.servers('no server', (all) => all.length === 0);
  });
});
