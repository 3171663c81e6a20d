import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { shellQuote } from '../../../../stacks/services/shell.js';
import type { HostPlan } from '../../../../stacks/services/plan.js';
import { ServiceHostDirectory } from '../../../support/service-host.js';

/** A daemon that loads what is in its file by a reload, and counts. */
let host: ServiceHostDirectory;
beforeEach(() => {
  host = new ServiceHostDirectory();
  mkdirSync(host.file('etc'));
});
afterEach(() => host.close());

const read = (name: string): string | null =>
  existsSync(host.file(name)) ? readFileSync(host.file(name), 'utf8') : null;
const q = (name: string): string => shellQuote(host.file(name));

const plan = (text: string, changes: Partial<HostPlan> = {}): HostPlan => ({
  files: [{ path: host.file('etc/ours.conf'), text, mode: '0640' }],
  check: `! grep -rq wrong "$VMPOOL_STAGE" || { echo the checker found a wrong word; exit 1; }`,
  reload: `echo reload >>${q('reloads')}; cat ${q('etc')}/* >${q('loaded')} 2>/dev/null; ! grep -q unloadable ${q('loaded')} || { echo cannot load; exit 1; }`,
  confirm: null,
  rollback: null,
  hookLimitSeconds: 20,
  ...changes,
});
const apply = (given: HostPlan) => host.run('apply', host.script(given));
/** A run that is killed with all its processes where the files are in place and the daemon does not know. */
const cutOff = async (text: string) => {
  const reached = host.file('reached');
  rmSync(reached, { force: true });
  // timeout leads a process group of its own.
  const cut = plan(text, { reload: `echo $PPID >${shellQuote(reached)}; exec sleep 60` });
  const there = new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      if (!(read('reached') ?? '').endsWith('\n')) return;
      clearInterval(timer);
      resolve();
    }, 20);
  });
  const ended = await host.run('apply', host.script(cut), there);
  const hook = Number(read('reached'));
  if (!(hook > 1)) throw new Error(`the run ended before its reload: ${ended.words}`);
  process.kill(-hook, 'SIGKILL');
  return ended;
};
const reloads = (): number => (read('reloads') ?? '').split('\n').length - 1;

describe('the configuration of a service on its host', () => {
  it('is put in place and loaded once, with its mode, and left alone when nothing changed', async () => {
    writeFileSync(host.file('etc/theirs.conf'), 'a person wrote this\n');
    expect(await apply(plan('one'))).toMatchObject({ code: 0, words: expect.stringContaining('is loaded') });
    expect(read('etc/ours.conf')).toBe('one\n');
    expect(statSync(host.file('etc/ours.conf')).mode & 0o777).toBe(0o640);
    expect(read('loaded')).toBe('one\na person wrote this\n');
    expect(await apply(plan('one'))).toMatchObject({
      code: 0,
      words: expect.stringContaining('as it should be'),
    });
    expect(reloads()).toBe(1);
    expect(readdirSync(host.file('etc')).sort()).toEqual(['ours.conf', 'theirs.conf']);
  });

  it('stays as it was when the checker says no', async () => {
    await apply(plan('one'));
    const refused = await apply(plan('wrong'));
    expect(refused.code).toBe(1);
    expect(refused.words).toMatch(/refused by its checker[^]*vmpool: +the checker found a wrong word/);
    expect(read('etc/ours.conf')).toBe('one\n');
    expect(reloads()).toBe(1);
    expect((await apply(plan('two'))).code).toBe(0);
    expect(read('loaded')).toBe('two\n');
  });

  it('is looked at when nothing has changed, and says why it is of no use', async () => {
    const looking = plan('one', { verify: `[ ! -e ${q('unused')} ] || { echo nobody reads it; exit 1; }` });
    await apply(looking);
    expect(await apply(looking)).toMatchObject({
      code: 0,
      words: expect.stringContaining('as it should be'),
    });
    writeFileSync(host.file('unused'), '');
    expect(await apply(looking)).toMatchObject({
      code: 1,
      words: expect.stringMatching(/cannot be used as it is[^]*nobody reads it/),
    });
    expect([read('etc/ours.conf'), reloads()]).toEqual(['one\n', 1]);
    rmSync(host.file('unused'));
    expect((await apply(looking)).code).toBe(0);
  });

  it('comes back, loaded, when the reload fails', async () => {
    await apply(plan('one'));
    const failed = await apply(plan('unloadable'));
    expect(failed.code).toBe(1);
    expect(failed.words).toMatch(
      /the reload failed; the old configuration is back and loaded[^]*cannot load/,
    );
    expect([read('etc/ours.conf'), read('loaded')]).toEqual(['one\n', 'one\n']);
    expect(reloads()).toBe(3);
  });

  it('leaves nothing when the first reload fails, nor when the daemon does not confirm', async () => {
    expect((await apply(plan('unloadable'))).code).toBe(1);
    expect(read('etc/ours.conf')).toBeNull();
    const unsure = await apply(plan('one', { confirm: 'echo it still has the old one; exit 3' }));
    expect(unsure.words).toMatch(/reload failed[^]*still has the old one/);
    expect(read('etc/ours.conf')).toBeNull();
  });

  it('is reloaded by the next run when a run was killed between write and reload', async () => {
    await apply(plan('one'));
    expect((await cutOff('two')).code).toBeNull();
    expect([read('etc/ours.conf'), read('loaded')]).toEqual(['two\n', 'one\n']);
    // The same list again, and the list of before: both have to be loaded, whatever is on the disk.
    expect((await apply(plan('two'))).words).toContain('is loaded');
    expect([read('loaded'), reloads()]).toEqual(['two\n', 2]);
    await cutOff('three');
    expect((await apply(plan('one'))).code).toBe(0);
    expect(read('loaded')).toBe('one\n');
  }, 60_000);

  it('goes back to what was loaded when the run after a cut one is refused', async () => {
    await apply(plan('one'));
    await cutOff('two');
    await apply(plan('wrong'));
    expect([read('etc/ours.conf'), read('loaded')]).toEqual(['one\n', 'one\n']);
    expect((await apply(plan('one'))).words).toContain('as it should be');
  }, 60_000);

  it('leaves alone what it did not write, and says so', async () => {
    writeFileSync(host.file('etc/ours.conf'), 'theirs\n');
    expect((await apply(plan('one'))).words).toContain('not written by this pool');
    expect([read('etc/ours.conf'), reloads()]).toEqual(['theirs\n', 0]);
    unlinkSync(host.file('etc/ours.conf'));
    writeFileSync(host.file('elsewhere'), 'x');
    symlinkSync(host.file('elsewhere'), host.file('etc/ours.conf'));
    expect((await apply(plan('one'))).code).toBe(1);
    expect(read('elsewhere')).toBe('x');
  });

  it('knows its own file by its mark when the state directory was lost', async () => {
    writeFileSync(host.file('etc/ours.conf'), '# vmpool:batch-svc-test writes this\nold\n');
    expect((await apply(plan('one'))).code).toBe(0);
  });

  it('mends what was changed by hand', async () => {
    await apply(plan('one'));
    writeFileSync(host.file('etc/ours.conf'), 'by hand\n');
    expect((await apply(plan('one'))).code).toBe(0);
    expect(read('loaded')).toBe('one\n');
  });

  it('moves with its path, and goes with its stack and nothing else does', async () => {
    writeFileSync(host.file('etc/theirs.conf'), 'theirs\n');
    await apply(plan('one'));
    const moved = {
      ...plan('one'),
      files: [{ path: host.file('etc/moved.conf'), text: 'one', mode: '0644' }],
    };
    await apply(moved);
    expect(readdirSync(host.file('etc')).sort()).toEqual(['moved.conf', 'theirs.conf']);
    // A resource of an earlier place takes nothing out.
    expect((await host.run('remove', host.script(moved, 'elsewhere'))).code).toBe(0);
    expect(read('etc/moved.conf')).toBe('one\n');
    expect((await host.run('remove', host.script(moved))).words).toContain('is gone');
    expect(readdirSync(host.file('etc'))).toEqual(['theirs.conf']);
    expect([read('loaded'), readdirSync(host.stateDir)]).toEqual(['theirs\n', []]);
    expect((await host.run('remove', host.script(moved))).code).toBe(0);
  });

  it('does not change anything when the script arrives in part', async () => {
    const whole = host.script(plan('one'));
    for (const part of [0.2, 0.5, 0.9, 0.995])
      await host.run('apply', whole.slice(0, Math.floor(whole.length * part)));
    expect([read('etc/ours.conf'), reloads()]).toEqual([null, 0]);
  });

  it('arrives word for word, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (text) => {
        fc.pre(!text.includes('\0') && !text.includes('wrong') && Buffer.from(text).toString() === text);
        await apply(plan(text, { check: null, reload: 'true' }));
        expect(read('etc/ours.conf')).toBe(text.endsWith('\n') || text === '' ? text : `${text}\n`);
      }),
      { numRuns: 4, examples: [["'$(id)`id`\\\nEOF\n"], ['\\n$HOME\r\n!"#']] },
    );
  }, 60_000);
});
