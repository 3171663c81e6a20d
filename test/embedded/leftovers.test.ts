import { afterAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { startEmbeddedCloud, type EmbeddedCloud } from '../../src/embedded/cloud.js';
import { Bench } from './bench.js';

const seconds = 1000;

/** Processes of the host whose command line names the folder, or that live in one of the namespaces. */
function processesOf(folder: string, namespaces: ReadonlySet<string> = new Set()): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        return (
          readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(folder) ||
          namespaces.has(readNamespace(name))
        );
      } catch {
        return false;
      }
    });
}

function readNamespace(pid: string | number): string {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')[0] ?? '';
}

async function untilNone(folder: string): Promise<string[]> {
  for (let round = 0; round < 100 && processesOf(folder).length > 0; round++) await sleep(30);
  return processesOf(folder);
}

describe('nothing outlives the cloud', () => {
  const folders: string[] = [];
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'vm-left-'));
    folders.push(made);
    return made;
  };
  afterAll(() => folders.forEach((each) => rmSync(each, { recursive: true, force: true })));

  it(
    'when it is stopped with servers that run jobs',
    async () => {
      const bench = await Bench.start();
      const { address } = await bench.running('busy');
      await bench.running('busy-too');
      const job = bench.ssh(address, 'sleep 600');
      await sleep(500);
      expect(processesOf(bench.folder).length).toBeGreaterThan(0);
      await bench.cloud.stop();
      expect((await job).code).not.toBe(0);
      expect(processesOf(join(bench.folder, 'cloud'))).toEqual([]);
      expect(readdirSync(join(bench.folder, 'cloud'))).toEqual([]);
      expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(bench.folder);
      await bench.stop();
    },
    180 * seconds,
  );

  it(
    'when it is killed; and its successor takes the state directory over',
    async () => {
      const place = folder();
      await build({
        entryPoints: ['src/embedded/main.ts'],
        bundle: true,
        platform: 'node',
        format: 'esm',
        packages: 'external',
        outfile: '.cache/embedded-test/main.mjs',
        logLevel: 'silent',
      });
      const state = join(place, 'state');
      const child: ChildProcess = spawn(
        process.execPath,
        ['.cache/embedded-test/main.mjs', '--state', state],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const line = await new Promise<string>((resolve) =>
        child.stdout?.once('data', (text: Buffer) => resolve(text.toString())),
      );
      const first = JSON.parse(line) as EmbeddedCloud;
      const { ApiClient } = await import('./bench.js');
      const api = new ApiClient(first);
      const network = await api.idOf('/network/v2.0/networks?name=net0', 'networks');
      const image = await api.idOf('/image/v2/images?name=debian-vm', 'images');
      await api.call('POST', '/compute/v2.1/servers', {
        body: {
          server: {
            name: 'orphan',
            imageRef: image,
            flavorRef: '1',
            networks: [{ uuid: network }],
            user_data: Buffer.from('#!/bin/sh\nsleep 999\n').toString('base64'),
          },
        },
      });
      for (let round = 0; round < 100 && processesOf(`directory=${state}`).length === 0; round++)
        await sleep(50);
      await sleep(700);
      await expect(startEmbeddedCloud({ state })).rejects.toThrow(/in use by process \d+/);

      child.kill('SIGKILL');
      expect(await untilNone(state)).toEqual([]);
      expect(existsSync(join(state, 'servers'))).toBe(true);
      const next = await startEmbeddedCloud({ state, subnet: '127.201.0.0/16' });
      expect(readdirSync(join(state, 'servers'))).toEqual([]);
      await next.stop();
      expect(readdirSync(state)).toEqual([]);
    },
    180 * seconds,
  );
});
