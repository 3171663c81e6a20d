import { readFileSync, readSync } from 'node:fs';

/** The process's environment byte for byte: Node's own view of it replaces what is not UTF-8. */
export function rawEnvironment(): Buffer[] {
  return splitNul(readFileSync('/proc/self/environ'));
}

export function splitNul(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(0, from);
    parts.push(bytes.subarray(from, end < 0 ? bytes.length : end));
    from = end < 0 ? bytes.length : end + 1;
  }
  return parts;
}

/** The last `count` arguments byte for byte. */
export function rawArguments(count: number): Buffer[] {
  const all = splitNul(readFileSync('/proc/self/cmdline'));
  return count === 0 ? [] : all.slice(-count);
}

/** Variables by name, and the same list changed for the VM. */
export class Environment {
  constructor(readonly entries: readonly Buffer[]) {}

  get(name: string): string | null {
    const start = Buffer.from(`${name}=`);
    const found = this.entries.find((entry) => entry.subarray(0, start.length).equals(start));
    return found === undefined ? null : found.subarray(start.length).toString('utf8');
  }
  with(name: string, value: string): Environment {
    return new Environment([...this.without(name).entries, Buffer.from(`${name}=${value}`)]);
  }
  without(name: string): Environment {
    const start = Buffer.from(`${name}=`);
    return new Environment(this.entries.filter((entry) => !entry.subarray(0, start.length).equals(start)));
  }
  /** As the runner reads it. What has no `=` cannot be passed on and is left out. */
  toBytes(): Buffer {
    return Buffer.concat(
      this.entries.filter((entry) => entry.indexOf(61) > 0).flatMap((e) => [e, Buffer.from([0])]),
    );
  }
}

/** Set by the first line of the installed file: Node would take the job's NODE_OPTIONS for its own. */
const savedNodeOptions = 'VMPOOL_JOB_NODE_OPTIONS';

export function jobEnvironment(raw: readonly Buffer[]): Environment {
  const all = new Environment(raw);
  const saved = all.get(savedNodeOptions);
  const clean = all.without(savedNodeOptions);
  return saved === null || saved === '' ? clean : clean.with('NODE_OPTIONS', saved);
}

/**
 * The one line that a mom writes to a job's standard input: path of the script, a blank, the arguments. Read
 * byte by byte, so that whatever stands behind it stays for the job.
 */
export function readScriptLine(fd: number): { readonly path: string; readonly rest: Buffer } | null {
  const bytes: number[] = [];
  const one = Buffer.alloc(1);
  while (bytes.length < 1024 * 1024) {
    let got: number;
    try {
      got = readSync(fd, one, 0, 1, null);
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EINTR'))
        continue;
      return null;
    }
    if (got === 0 || one[0] === 10) break;
    bytes.push(one[0] ?? 0);
  }
  return splitScriptLine(Buffer.from(bytes));
}

export function splitScriptLine(line: Buffer): { readonly path: string; readonly rest: Buffer } | null {
  const blank = line.indexOf(32);
  const path = (blank < 0 ? line : line.subarray(0, blank)).toString('utf8');
  return path.startsWith('/') ? { path, rest: blank < 0 ? Buffer.alloc(0) : line.subarray(blank) } : null;
}
