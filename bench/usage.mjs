/** What a process and all that it has started use, read from /proc. */
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { textOf } from '../scripts/suite-processes.mjs';

const ticksPerSecond = 100;

/** Fields of /proc/PID/stat from the third on: the name before them may hold anything. Null when it has ended. */
function statOf(pid) {
  const text = textOf(`/proc/${pid}/stat`);
  return text === '' ? null : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** The process and its descendants that live, as pids. */
export function treeOf(pid) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statOf(name)?.[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [pid];
  for (const one of tree) tree.push(...(children.get(one) ?? []));
  return tree;
}

/** The words of its command line; none when it has ended. */
export const commandOf = (pid) => textOf(`/proc/${pid}/cmdline`).split('\0');

/** Seconds of processor so far, those of descendants that have ended included. */
export function cpuSecondsOf(pid) {
  let ticks = 0;
  for (const one of treeOf(pid)) {
    const fields = statOf(one);
    // utime, stime, and the same of children that it has waited for.
    if (fields !== null) ticks += fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  }
  return ticks / ticksPerSecond;
}

/** Memory in MB: what several share is divided among them. */
export function memoryOf(pid) {
  let kib = 0;
  for (const one of treeOf(pid))
    kib += Number(/^Pss:\s+(\d+) kB$/m.exec(textOf(`/proc/${one}/smaps_rollup`))?.[1] ?? 0);
  return (kib * 1024) / 1e6;
}

/** Bytes of all files below a directory whose path from there `counts`; those that go meanwhile do not. */
export function bytesBelow(directory, counts = () => true) {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !counts(relative(directory, path))) continue;
    try {
      bytes += statSync(path).size;
    } catch {
      // Gone meanwhile.
    }
  }
  return bytes;
}
