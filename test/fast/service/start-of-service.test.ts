import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { poolClock } from '../../../src/service/clock.js';
import { sleep } from '../../../src/sleep.js';
import { parseEnvFile } from '../../../src/service/environment.js';
import { installationOf } from '../../../src/service/installation.js';

describe('the file of OS_* variables', () => {
  it('takes an openrc without code, quoted or not', () => {
    const text = [
      '# from the dashboard',
      '',
      'export OS_AUTH_URL=https://keystone:5000/v3',
      'OS_USERNAME="pool user"',
      "  OS_PASSWORD='p=a#s$s'  ",
      'OS_REGION_NAME=',
    ].join('\n');
    expect(parseEnvFile(text)).toEqual({
      OS_AUTH_URL: 'https://keystone:5000/v3',
      OS_USERNAME: 'pool user',
      OS_PASSWORD: 'p=a#s$s',
      OS_REGION_NAME: '',
    });
    expect(parseEnvFile('OS_CLOUD=a\r\nOS_REGION_NAME=b\r\n')).toEqual({
      OS_CLOUD: 'a',
      OS_REGION_NAME: 'b',
    });
  });

  it.each([
    'read -s OS_PASSWORD',
    'export PATH=/tmp',
    'OS_A=b c',
    'OS_A="b" ; rm -rf /',
    'unset OS_PROJECT_ID',
  ])('refuses the line %s by its number and without its content', (line) => {
    const parse = (): unknown => parseEnvFile(`OS_CLOUD=a\n${line}\n`);
    expect(parse).toThrow(/^line 2 of the cloud's envFile/);
    expect(parse).not.toThrow(line);
  });
});

describe("the installation's UUID", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmpool-installation-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('is made once and kept', async () => {
    const made = await installationOf(dir);
    expect(made).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(await installationOf(dir)).toBe(made);
    expect(readFileSync(join(dir, 'installation'), 'utf8')).toBe(`${made}\n`);
    expect(statSync(join(dir, 'installation')).mode & 0o077).toBe(0);
  });

  it.each(['', 'not-a-uuid\n'])('is never made anew over a file that holds %j', async (text) => {
    writeFileSync(join(dir, 'installation'), text);
    await expect(installationOf(dir)).rejects.toThrow(/holds no UUID.*vmpool_installation/);
    expect(readFileSync(join(dir, 'installation'), 'utf8')).toBe(text);
  });

  it('is not made where the directory refuses', async () => {
    await expect(installationOf(join(dir, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('pool time', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('starts from the wall clock, follows the monotonic one and never runs backwards', () => {
    let wall = 5_000_000;
    let monotonic = 100;
    jest.spyOn(Date, 'now').mockImplementation(() => wall);
    jest.spyOn(performance, 'now').mockImplementation(() => monotonic);
    const clock = poolClock(1_000);
    expect(clock.now()).toBe(5_000_000);
    monotonic += 1_500;
    wall -= 3_600_000;
    expect(clock.now()).toBe(5_001_500);
    wall += 86_400_000;
    expect(clock.now()).toBe(5_001_500);
  });

  it('goes on from the newest time in the book when the wall clock was set back while nothing ran', () => {
    jest.spyOn(Date, 'now').mockImplementation(() => 1_000);
    expect(poolClock(9_000_000).now()).toBeGreaterThanOrEqual(9_000_000);
  });

  it('is slept through until a signal ends it, and a fired one lets nobody sleep', async () => {
    await sleep(3_600_000, AbortSignal.abort());
    const stop = new AbortController();
    const nap = poolClock(0).sleep(3_600_000, stop.signal);
    stop.abort();
    await nap;
    await sleep(1, new AbortController().signal);
  });
});
