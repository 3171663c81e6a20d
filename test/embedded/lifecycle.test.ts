import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Bench } from './bench.js';

const seconds = 1000;

/** The host key block of a console log. */
function consoleKeys(log: string): string[] {
  const block =
    /-----BEGIN SSH HOST KEY KEYS-----\n([^]*?)-----END SSH HOST KEY KEYS-----/.exec(log)?.[1] ?? '';
  return block.trim().split('\n');
}

describe('the life of a server', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await Bench.start();
  }, 180 * seconds);
  afterAll(() => bench.stop(), 180 * seconds);

  const knownHosts = (name: string, address: string, line: string): string => {
    const file = join(bench.folder, name);
    writeFileSync(file, `${address} ${line}\n`);
    return file;
  };

  it(
    'prints its real host key, keeps files over a reboot, and gets new keys and a clean disk by a rebuild',
    async () => {
      const { id, address } = await bench.running('kept');
      const [first = ''] = consoleKeys(await bench.console(id));
      expect(
        (
          await bench.ssh(address, 'echo data > /srv/file; sleep 500 > /dev/null 2>&1 &', {
            hostKeys: knownHosts('a', address, first),
          })
        ).code,
      ).toBe(0);

      await bench.action(id, { reboot: { type: 'SOFT' } });
      await bench.until(id, 'ACTIVE');
      await bench.untilSsh(address);
      const after = await bench.ssh(address, 'cat /srv/file; pgrep -x sleep | wc -l', {
        hostKeys: knownHosts('a', address, first),
      });
      expect(after.stdout).toBe('data\n0\n');

      const image = await bench.api.idOf('/image/v2/images?name=debian-vm-2', 'images');
      await bench.action(id, { rebuild: { imageRef: image } });
      await bench.until(id, 'ACTIVE');
      await bench.untilSsh(address);
      const [second = ''] = consoleKeys(await bench.console(id));
      expect(second).not.toBe(first);
      const rebuilt = await bench.ssh(address, 'ls -A /srv; cat /etc/vm-image', {
        hostKeys: knownHosts('b', address, second),
      });
      expect(rebuilt.stdout).toBe(`${image} debian-vm-2\n`);
      expect((await bench.control.servers())[0]?.actions).toEqual(['rebuild', 'reboot', 'create']);

      await bench.api.call('DELETE', `/compute/v2.1/servers/${id}`);
      await bench.until(id, 'GONE');
      expect((await bench.ssh(address, 'true')).stderr).toMatch(/refused/);
    },
    180 * seconds,
  );

  it(
    'stops and starts, pauses and goes on',
    async () => {
      const { id, address } = await bench.running('paused');
      await bench.action(id, { 'os-stop': null });
      await bench.until(id, 'SHUTOFF');
      expect((await bench.ssh(address, 'true')).stderr).toMatch(/refused/);
      await bench.action(id, { 'os-start': null });
      await bench.until(id, 'ACTIVE');
      await bench.untilSsh(address);
      await bench.action(id, { pause: null });
      await bench.until(id, 'PAUSED');
      expect((await bench.ssh(address, 'true', { timeoutS: 1 })).code).not.toBe(0);
      await bench.action(id, { unpause: null });
      await bench.until(id, 'ACTIVE');
      expect((await bench.ssh(address, 'echo on')).stdout).toBe('on\n');
    },
    180 * seconds,
  );

  it(
    'takes user data as a script, a cloud-config, and both in a gzipped message',
    async () => {
      const config = [
        '#cloud-config',
        'users:',
        `  - {name: worker, ssh_authorized_keys: ["${bench.key.publicLine}"], shell: /bin/bash}`,
        'write_files:',
        '  - {path: /opt/site/conf, content: aGVsbG8=, encoding: b64, permissions: "0640", owner: "worker:worker"}',
        'bootcmd: ["echo early > /root/early"]',
        'runcmd: [[sh, -c, "echo \'it runs\' > /root/ran"], "false", "echo after > /root/after"]',
      ].join('\n');
      const message = [
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed; boundary="==b=="',
        '',
        '--==b==',
        'Content-Type: text/cloud-config',
        '',
        config,
        '--==b==',
        'Content-Type: text/x-shellscript',
        'Content-Transfer-Encoding: base64',
        '',
        Buffer.from('#!/bin/sh\necho script > /root/script\n').toString('base64'),
        '--==b==--',
        '',
      ].join('\n');
      const { id, address } = await bench.running('told', {
        user_data: gzipSync(message).toString('base64'),
        metadata: { pool: 'p' },
        config_drive: true,
      });
      for (let round = 0; round < 50 && !(await bench.console(id)).includes('login:'); round++)
        await bench.ssh(address, 'sleep 0.1');
      expect(
        (
          await bench.ssh(
            address,
            'cat /root/early /root/ran /root/after /root/script; stat -c "%a %U" /opt/site/conf; cat /opt/site/conf',
          )
        ).stdout,
      ).toBe('early\nit runs\nafter\nscript\n640 worker\nhello');
      expect((await bench.ssh(address, 'id -un', { user: 'worker' })).stdout).toBe('worker\n');
      const meta: unknown = JSON.parse(
        (await bench.ssh(address, 'cat /run/vm-config-drive/openstack/latest/meta_data.json')).stdout,
      );
      expect(meta).toMatchObject({ uuid: id, name: 'told', meta: { pool: 'p' } });
    },
    180 * seconds,
  );

  it(
    'is reached by its floating address too, until that is released',
    async () => {
      const { id, address } = await bench.running('floating');
      const network = await bench.api.idOf('/network/v2.0/networks?name=public', 'networks');
      const port = await bench.api.idOf(`/network/v2.0/ports?device_id=${id}`, 'ports');
      const made = await bench.api.call('POST', '/network/v2.0/floatingips', {
        body: { floatingip: { floating_network_id: network, port_id: port } },
      });
      const floating = (made.body as { floatingip: { id: string; floating_ip_address: string } }).floatingip;
      await bench.untilSsh(floating.floating_ip_address);
      expect((await bench.ssh(floating.floating_ip_address, 'hostname')).stdout).toBe('floating\n');
      await bench.api.call('DELETE', `/network/v2.0/floatingips/${floating.id}`);
      await bench.ssh(address, 'sleep 0.2');
      expect((await bench.ssh(floating.floating_ip_address, 'true')).stderr).toMatch(/refused/);
      expect((await bench.ssh(address, 'hostname')).stdout).toBe('floating\n');
    },
    180 * seconds,
  );
});
