import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const ownerSchema = z.object({ pid: z.int().positive(), startTicks: z.string() });

/** When a process started, in the kernel's ticks: with its pid this names it for ever. Undefined if it is gone. */
async function startTicks(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Sandbox keepers of this folder that still run: the kernel ends them with their cloud, so there should be none. */
async function keepersOf(servers: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const words = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (words[1] === 'run' && words.some((word) => word.startsWith(`directory=${servers}/`)))
      found.push(Number(name));
  }
  return found;
}

async function endKeepers(servers: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const keepers = await keepersOf(servers);
    if (keepers.length === 0) return;
    for (const pid of keepers) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    await sleep(20);
  }
  throw new Error(`sandboxes of an earlier cloud in ${servers} do not end`);
}

export interface StateDirectory {
  readonly path: string;
  readonly servers: string;
  readonly base: string;
  /** Removes what the cloud made in it. */
  release(): Promise<void>;
}

/** Takes a state directory for this process, and clears what a killed predecessor left in it. */
export async function takeStateDirectory(given: string): Promise<StateDirectory> {
  const path = resolve(given);
  const ownerFile = join(path, 'owner.json');
  await mkdir(path, { recursive: true, mode: 0o700 });
  const text = await readFile(ownerFile, 'utf8').catch(() => undefined);
  const owner = text === undefined ? undefined : ownerSchema.safeParse(safeJson(text)).data;
  if (owner && (await startTicks(owner.pid)) === owner.startTicks)
    throw new Error(
      `the embedded cloud's state directory ${path} is in use by process ${owner.pid}: stop it or name another directory`,
    );
  const directory: StateDirectory = {
    path,
    servers: join(path, 'servers'),
    base: join(path, 'base'),
    async release() {
      for (const each of [directory.servers, directory.base, ownerFile])
        await rm(each, { recursive: true, force: true });
    },
  };
  await endKeepers(directory.servers);
  await directory.release();
  await mkdir(directory.servers, { mode: 0o700 });
  await writeFile(
    ownerFile,
    JSON.stringify({ pid: process.pid, startTicks: (await startTicks(process.pid)) ?? '' }),
    { mode: 0o600 },
  );
  return directory;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
