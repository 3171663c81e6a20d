import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { kernelExports, kernelNfsSettings, planKernelNfs } from '../../../../stacks/services/nfs-kernel.js';
import type { HostPlan } from '../../../../stacks/services/plan.js';
import { cutOff, serviceInput, serviceMember, ServiceHostDirectory } from '../../../support/service-host.js';
import { parseExports } from './exports-parser.js';

const id = 'batch-svc-files';
const settings = (changes: object = {}) =>
  kernelNfsSettings.parse({
    type: 'nfs-kernel',
    host: 'local',
    exports: [{ path: '/srv/scratch' }],
    ...changes,
  });

describe('the exports of the kernel server', () => {
  it('are a line for each VM', () => {
    const given = settings({
      exports: [{ path: '/srv/a b', options: ['ro', 'sec=krb5p'], also: ['10.1.0.0/16'] }],
    });
    expect(kernelExports(given, serviceInput(2), id)).toBe(
      '# vmpool:batch-svc-files writes this file; changes by hand are lost.\n' +
        '"/srv/a\\040b" 10.1.0.0/16(ro,sec=krb5p)\n' +
        '"/srv/a\\040b" 127.0.0.2(ro,sec=krb5p) # batch-1-abcd\n' +
        '"/srv/a\\040b" 127.0.0.3(ro,sec=krb5p) # batch-2-abcd\n',
    );
  });

  it('say, read by the manual page, exactly what was meant, whatever the path', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }).filter((text) => !/[\p{Cc}\p{Cs}]/u.test(text)),
        fc.array(fc.array(address, { minLength: 1, maxLength: 3 }), { maxLength: 4 }),
        (name, addresses) => {
          const path = `/${name}`;
          const members = addresses.map((list, n) => serviceMember(n, { addresses: list }));
          const text = kernelExports(settings({ exports: [{ path }] }), serviceInput(0, { members }), id);
          expect(parseExports(text)).toEqual(
            addresses.flat().map((client) => ({
              path,
              client,
              options: ['rw', 'sync', 'root_squash', 'no_subtree_check'],
            })),
          );
        },
      ),
    );
  });

  it('take no option that would end another', () => {
    for (const option of ['rw,no_root_squash', 'rw)', 'rw ', '', 'sec=a b'])
      expect(
        kernelNfsSettings.safeParse({
          type: 'nfs-kernel',
          host: 'local',
          exports: [{ path: '/x', options: [option] }],
        }).success,
      ).toBe(false);
  });
});

describe('the exports on the file server', () => {
  let host: ServiceHostDirectory;
  beforeEach(() => {
    host = new ServiceHostDirectory();
    mkdirSync(host.file('exports.d'));
    mkdirSync(host.file('scratch'));
    writeFileSync(host.file('exports.d/theirs.exports'), '/theirs 192.0.2.1(ro)\n');
    // Stands for exportfs: -ra makes the table what the files say, -s prints it.
    writeFileSync(
      host.file('exportfs'),
      `#!/bin/sh
cd ${host.path} || exit 1
case $1 in
-ra) [ -e broken ] && { echo 'exportfs: the kernel does not answer' >&2; exit 1; }
  cat exports.d/*.exports | grep -v '^#' | sed 's/ # .*//' >table; echo called >>calls ;;
-s) [ -e deaf ] || sed 's/"\\([^"]*\\)" /\\1  /' table ;;
*) exit 2 ;;
esac
`,
      { mode: 0o755 },
    );
  });
  afterEach(() => host.close());

  const planFor = (members: number): HostPlan =>
    planKernelNfs(
      settings({
        directory: host.file('exports.d'),
        exportfs: host.file('exportfs'),
        exports: [{ path: host.file('scratch') }],
      }),
      serviceInput(members),
      id,
    );
  const apply = (members: number) => host.run('apply', host.script(planFor(members), 'here', id));
  const table = (): readonly string[] =>
    parseExports(readFileSync(host.file('table'), 'utf8').replaceAll('  ', ' ')).map(({ client }) => client);

  it('follow the members; what a person wrote stays', async () => {
    expect(await apply(2)).toMatchObject({ code: 0 });
    expect(table()).toEqual(['192.0.2.1', '127.0.0.2', '127.0.0.3']);
    expect(await apply(1)).toMatchObject({ code: 0 });
    expect(table()).toEqual(['192.0.2.1', '127.0.0.2']);
    expect(await host.run('remove', host.script(planFor(1), 'here', id))).toMatchObject({ code: 0 });
    expect(table()).toEqual(['192.0.2.1']);
    expect(existsSync(host.file('exports.d/vmpool-batch.exports'))).toBe(false);
  });

  it('go back when exportfs says no, or when the kernel has not what the file says', async () => {
    await apply(1);
    writeFileSync(host.file('broken'), '');
    expect(await apply(2)).toMatchObject({
      code: 1,
      words: expect.stringContaining('the kernel does not answer'),
    });
    expect(readFileSync(host.file('exports.d/vmpool-batch.exports'), 'utf8')).not.toContain('127.0.0.3');
  });

  it('are confirmed by the table itself', async () => {
    await apply(1);
    writeFileSync(host.file('deaf'), '');
    expect(await apply(2)).toMatchObject({ code: 1, words: expect.stringContaining('does not export to') });
    expect(readFileSync(host.file('exports.d/vmpool-batch.exports'), 'utf8')).not.toContain('127.0.0.3');
  });

  it('are refused where a directory is missing, and nothing is changed', async () => {
    await apply(1);
    rmSync(host.file('scratch'), { recursive: true });
    expect(await apply(2)).toMatchObject({
      code: 1,
      words: expect.stringMatching(/refused by its checker[^]*scratch is no directory on the file server/),
    });
    expect(table()).toEqual(['192.0.2.1', '127.0.0.2']);
    mkdirSync(host.file('scratch'));
    expect(await apply(2)).toMatchObject({ code: 0 });
  });

  it('are the newest list after a run that was cut off between write and reload', async () => {
    await apply(1);
    const cut = { ...planFor(3), reload: cutOff };
    expect((await host.run('apply', host.script(cut, 'here', id))).code).not.toBe(0);
    expect(table()).toEqual(['192.0.2.1', '127.0.0.2']);
    // The list of before again: the file has to go back, and the kernel to be told.
    expect(await apply(1)).toMatchObject({ code: 0, words: expect.stringContaining('is loaded') });
    expect(readFileSync(host.file('exports.d/vmpool-batch.exports'), 'utf8')).not.toContain('127.0.0.3');
    expect(await apply(2)).toMatchObject({ code: 0 });
    expect(table()).toEqual(['192.0.2.1', '127.0.0.2', '127.0.0.3']);
  });
});
