import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bench } from './bench.js';

const seconds = 1000;

describe('what goes wrong on a server, to order', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await Bench.start();
  }, 180 * seconds);
  afterEach(() => bench.control.clear());
  afterAll(() => bench.stop(), 180 * seconds);

  it(
    'hangs open connections and new ones when the network is cut, and goes on when it is back',
    async () => {
      const { id, address } = await bench.running('cut');
      let output = '';
      const args = [
        '-F',
        '/dev/null',
        '-i',
        join(bench.folder, 'key'),
        '-o',
        'StrictHostKeyChecking=no',
        '-o',
        'UserKnownHostsFile=/dev/null',
      ];
      const ticking = execFile('ssh', [...args, `root@${address}`, 'while sleep 0.1; do echo tick; done']);
      ticking.stdout?.on('data', (text: string) => (output += text));
      while (!output.includes('tick')) await sleep(50);
      await bench.control.order(id, { do: 'network', mode: 'drop' });
      await sleep(1_000);
      const cut = output.length;
      expect((await bench.ssh(address, 'true', { timeoutS: 1 })).stderr).toMatch(/timed out/i);
      expect(output.length).toBe(cut);
      await bench.control.order(id, { do: 'network', mode: 'answer' });
      while (output.length === cut) await sleep(50);
      const closed = new Promise((resolve) => ticking.once('close', resolve));
      ticking.kill();
      await closed;
      expect((await bench.ssh(address, 'true')).code).toBe(0);
    },
    180 * seconds,
  );

  it(
    'dies loudly or silently, as Nova sees it or not',
    async () => {
      const { id, address } = await bench.running('dying');
      const job = bench.ssh(address, 'sleep 600');
      await sleep(600);
      await bench.control.order(id, { do: 'die', status: 'SHUTOFF' });
      expect((await job).code).toBe(255);
      expect((await bench.server(id)).status).toBe('SHUTOFF');
      expect((await bench.ssh(address, 'true')).stderr).toMatch(/refused/);

      const other = await bench.running('silent');
      const hanging = bench.ssh(other.address, 'sleep 600');
      await sleep(600);
      const before = performance.now();
      await bench.control.order(other.id, { do: 'die', silent: true });
      expect((await bench.server(other.id)).status).toBe('ACTIVE');
      expect((await bench.ssh(other.address, 'true', { timeoutS: 1 })).stderr).toMatch(/timed out/i);
      // Nobody told the client: it is its own keep-alive that ends it.
      expect((await hanging).code).toBe(255);
      expect(performance.now() - before).toBeGreaterThan(1000);
    },
    180 * seconds,
  );

  it(
    'never answers SSH, shows another host key, or ignores its user data',
    async () => {
      for (const [mode, pattern] of [
        ['mute', /timed out|banner/i],
        ['drop', /timed out/i],
        ['refuse', /refused/],
      ] as const) {
        await bench.control.fault({ kind: 'ssh', mode }, { server: `ssh-${mode}`, times: 1 });
        const id = await bench.order(`ssh-${mode}`);
        await bench.until(id, 'ACTIVE');
        await bench.machine(id);
        await sleep(400);
        expect((await bench.ssh(await bench.address(id), 'true', { timeoutS: 1 })).stderr).toMatch(pattern);
      }
      await bench.control.fault({ kind: 'no-user-data' }, { server: 'keyless' });
      const keyless = await bench.order('keyless');
      await bench.until(keyless, 'ACTIVE');
      await bench.machine(keyless);
      await sleep(400);
      expect((await bench.ssh(await bench.address(keyless), 'true')).stderr).toMatch(/denied/);

      const { id, address } = await bench.running('impostor');
      const log = await bench.console(id);
      const scan = (): Promise<string> =>
        new Promise((resolve) =>
          execFile('ssh-keyscan', ['-t', 'ed25519', address], (_error, stdout) =>
            resolve(stdout.split(' ')[2]?.trim() ?? ''),
          ),
        );
      expect(log).toContain(await scan());
      await bench.control.order(id, { do: 'host-key' });
      expect(log).not.toContain(await scan());
      expect(await bench.console(id)).toBe(log);
    },
    180 * seconds,
  );

  it(
    'stays in its deleting task until it is let go',
    async () => {
      const id = await bench.order('clinging');
      await bench.until(id, 'ACTIVE');
      const fault = await bench.control.fault({ kind: 'delete-hangs' }, { times: 1, server: 'cling*' });
      await bench.api.call('DELETE', `/compute/v2.1/servers/${id}`);
      await sleep(500);
      expect((await bench.control.servers()).find((server) => server.id === id)?.taskState).toBe('deleting');
      await bench.control.clear(fault);
      await bench.until(id, 'GONE');
    },
    180 * seconds,
  );
});
