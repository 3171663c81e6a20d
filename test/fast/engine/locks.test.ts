import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { breakFileLocks, isStaleLockOfOurs, locksInMessage } from '../../../src/engine/locks.js';
import { carriesMark } from '../../../src/engine/orphans.js';
import { Runs, type Run } from '../../../src/engine/runs.js';

const run = (pid: number): Run => ({ stack: 'p-c001', process: { pid, ticks: 1, boot: 'b', host: 'here' } });
const lock = (pid: number, hostname = 'here') => ({ pid, hostname, username: 'root', timestamp: 't' });

describe('a lock', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-locks-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('is ours to break only when a dead run of ours on this host wrote it', () => {
    expect(isStaleLockOfOurs(lock(7), 'here', [run(7)])).toBe(true);
    expect(isStaleLockOfOurs(lock(7), 'here', [run(8)])).toBe(false);
    expect(isStaleLockOfOurs(lock(7), 'here', [])).toBe(false);
    expect(isStaleLockOfOurs(lock(7, 'elsewhere'), 'here', [run(7)])).toBe(false);
  });

  it('in a directory is broken when ours, and left when somebody else wrote it or nobody can read it', () => {
    const locks = join(directory, '.pulumi', 'locks', 'organization', 'vmpool', 'p-c001');
    expect(breakFileLocks(directory, 'p-c001', 'here', [run(7)])).toEqual([]);
    mkdirSync(locks, { recursive: true });
    writeFileSync(join(locks, 'ours.json'), JSON.stringify(lock(7)));
    writeFileSync(join(locks, 'ours.json.attrs'), '{}');
    writeFileSync(join(locks, 'theirs.json'), JSON.stringify(lock(8)));
    writeFileSync(join(locks, 'torn.json'), '{"pid"');
    const left = breakFileLocks(directory, 'p-c001', 'here', [run(7)]);
    expect(left.map(({ pid }) => pid).sort()).toEqual([0, 8]);
    expect(readdirSync(locks).sort()).toEqual(['theirs.json', 'torn.json']);
  });

  it('that a killed Pulumi left half written is removed, and one that is just being written is not', () => {
    const locks = join(directory, '.pulumi', 'locks', 'organization', 'vmpool', 'p-c001');
    mkdirSync(locks, { recursive: true });
    const seconds = 1_800_000_000;
    for (const [name, writtenAt] of [
      ['left.json.18eb4d4c231373af.tmp', seconds - 60],
      ['left-before-the-clock-was-set-back.json.18eb4d4c231373b0.tmp', seconds + 86_400],
      ['new.json.18eb4d4c231373b1.tmp', seconds - 0.5],
      ['notes.tmp', seconds - 60],
    ] as const) {
      writeFileSync(join(locks, name), '');
      utimesSync(join(locks, name), writtenAt, writtenAt);
    }
    expect(breakFileLocks(directory, 'p-c001', 'here', [], seconds * 1000)).toEqual([]);
    expect(readdirSync(locks).sort()).toEqual(['new.json.18eb4d4c231373b1.tmp', 'notes.tmp']);
  });

  it('is read from what Pulumi says of it', () => {
    const message =
      'error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.\n' +
      '  s3://bucket/.pulumi/locks/organization/vmpool/p-c001/1.json: created by root@node1 (pid 12) at 2026-11-23T10:00:00Z\n' +
      '  s3://bucket/.pulumi/locks/organization/vmpool/p-c001/2.json: created by ann@desk.site (pid 345) at 2026-11-23T11:00:00+01:00';
    expect(locksInMessage(message)).toEqual([
      { username: 'root', hostname: 'node1', pid: 12, timestamp: '2026-11-23T10:00:00Z' },
      { username: 'ann', hostname: 'desk.site', pid: 345, timestamp: '2026-11-23T11:00:00+01:00' },
    ]);
    expect(locksInMessage('error: created by root@node1 (pid 12) at now')).toEqual([]);
  });

  it('of a run that lives is never stale', () => {
    const runs = new Runs(directory);
    runs.began('p-c001', process.pid);
    expect(runs.all()).toHaveLength(1);
    expect(runs.dead('p-c001')).toEqual([]);
    runs.forget(process.pid);
    expect(runs.all()).toEqual([]);
  });

  it('of a pid that was given to another process since is stale', () => {
    const runs = new Runs(directory);
    runs.began('p-c001', process.pid);
    const path = join(directory, 'engine', 'runs', `${String(process.pid)}.json`);
    const [known] = runs.all();
    writeFileSync(path, JSON.stringify({ ...known, process: { ...known?.process, ticks: 1 } }));
    expect(runs.dead('p-c001')).toHaveLength(1);
    expect(runs.dead('p-c002')).toEqual([]);
  });
});

describe('the mark of an engine', () => {
  it('must be exactly its own', () => {
    const environ = 'PATH=/bin\0VMPOOL_ENGINE_MARK=inst/p\0HOME=/root\0';
    expect(carriesMark(environ, 'inst/p')).toBe(true);
    expect(carriesMark(environ, 'inst/p2')).toBe(false);
    expect(carriesMark('X_VMPOOL_ENGINE_MARK=inst/p\0', 'inst/p')).toBe(false);
    expect(carriesMark('VMPOOL_ENGINE_MARK=inst/p-other\0', 'inst/p')).toBe(false);
  });
});
