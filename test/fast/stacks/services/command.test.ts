import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { commandSettings, planCommand } from '../../../../stacks/services/command.js';
import type { HostPlan } from '../../../../stacks/services/plan.js';
import { cutOff, serviceInput, serviceMember, ServiceHostDirectory } from '../../../support/service-host.js';

/** The site's own commands: a file that one of them keeps, in the midst of what a person wrote. */
describe('a command of the site’s own', () => {
  let host: ServiceHostDirectory;
  beforeEach(() => {
    host = new ServiceHostDirectory();
    writeFileSync(host.file('hosts'), '127.0.0.1 localhost\n');
  });
  afterEach(() => host.close());

  const keep =
    `const at = process.argv[1], fs = require("fs"), end = "# vmpool end\\n";` +
    `const theirs = fs.readFileSync(at, "utf8").replace(/# vmpool begin\\n[^]*# vmpool end\\n/, "");` +
    `const ours = JSON.parse(fs.readFileSync(0)).members.map((m) => m.addresses[0] + " " + m.name + "\\n");` +
    `fs.writeFileSync(at + ".new", theirs + (ours.length ? "# vmpool begin\\n" + ours.join("") + end : ""));` +
    `fs.renameSync(at + ".new", at);`;
  const apply = (): string => `${process.execPath} -e '${keep}' ${host.file('hosts')}`;
  const plan = (members: readonly number[], changes: object = {}): HostPlan =>
    planCommand(
      commandSettings.parse({
        ...{ type: 'command', host: 'local', check: `grep -q '"pool": "batch"'`, apply: apply() },
        ...changes,
      }),
      serviceInput(0, { members: members.map((n) => serviceMember(n)) }),
    );
  const run = (members: readonly number[], changes: object = {}) =>
    host.run('apply', host.script(plan(members, changes)));
  const kept = (): number[] =>
    [...readFileSync(host.file('hosts'), 'utf8').matchAll(/ batch-(\d+)-abcd$/gm)].map(([, n]) => Number(n));

  it('is given the members, and none of them when the stack goes; what a person wrote stays', async () => {
    expect(await run([1, 2])).toMatchObject({ code: 0 });
    expect(kept()).toEqual([1, 2]);
    expect(await run([2, 3])).toMatchObject({ code: 0 });
    expect(kept()).toEqual([2, 3]);
    expect(await host.run('remove', host.script(plan([2, 3])))).toMatchObject({ code: 0 });
    expect(readFileSync(host.file('hosts'), 'utf8')).toBe('127.0.0.1 localhost\n');
    expect(readdirSync(host.stateDir)).toEqual([]);
  });

  it('is not run when the check says no', async () => {
    await run([1]);
    const check = 'grep -vq batch-2 && { echo VM 2 is not wanted here; exit 1; }; true';
    const refused = await run([2], { check });
    expect(refused).toMatchObject({ code: 1, words: expect.stringContaining('VM 2 is not wanted here') });
    expect(kept()).toEqual([1]);
  });

  it('is given the list of before when it failed, or the site’s rollback is', async () => {
    await run([1]);
    const fails = `${apply()}; grep -q batch-2 ${host.file('hosts')} && { echo cannot have VM 2; exit 1; }; true`;
    expect((await run([1, 2], { apply: fails })).words).toMatch(
      /old configuration is back.*[^]*cannot have VM 2/,
    );
    expect(kept()).toEqual([1]);
    const rollback = `cat >${host.file('rolled-back')}`;
    await run([1, 2], { apply: 'exit 1', rollback });
    expect(readFileSync(host.file('rolled-back'), 'utf8')).toContain('batch-1-abcd');
    expect(readFileSync(host.file('rolled-back'), 'utf8')).not.toContain('batch-2-abcd');
  });

  it('is given an empty list when the very first one failed', async () => {
    const fails = `cat >${host.file('last')}; grep -vq batch ${host.file('last')}; exit 1`;
    expect(await run([1], { apply: fails })).toMatchObject({ code: 1 });
    expect(readFileSync(host.file('last'), 'utf8')).toContain('"members": []');
  });

  it('is run with the newest list after a run that was cut off or took too long', async () => {
    await run([1]);
    expect((await run([2], { apply: cutOff })).code).not.toBe(0);
    expect(kept()).toEqual([1]);
    expect(await run([3])).toMatchObject({ code: 0 });
    expect(kept()).toEqual([3]);
    const slow = await run([4], { apply: 'sleep 30', rollback: 'true', limitSeconds: 2 });
    expect(slow.words).toContain('not done within 2 seconds');
    expect(kept()).toEqual([3]);
  });
});
