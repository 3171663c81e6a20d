import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configText } from '../../../src/cli/screens/config.js';
import { plain } from '../../../src/cli/terminal.js';
import { FakeClient, play, refusal } from './play.js';

const good = `config:
  vmpool:max: 40
  vmpool:flavor: small
  vmpool:image: debian
  vmpool:networks: [net0]
  vmpool:adminKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6 vmpool
`;

describe('vmpool scale and apply', () => {
  let directory: string;
  const file = (text: string): string => {
    const path = join(directory, 'Pulumi.batch.yaml');
    writeFileSync(path, text);
    return path;
  };
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-config-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it('scale tells what changed, and what to write into the checkout', async () => {
    const client = new FakeClient();
    const { code, out } = await play(['scale', '--max', '60', '-r', 'deadline'], client);
    expect(code).toBe(0);
    expect(client.asked).toEqual(['status', 'scale {"reason":"deadline","dryRun":false,"max":60}']);
    expect(out).toBe(
      `vmpool:max  40 -> 60
Adopted: min 1, max 60, spare 0, generation abc.
A checkout's Pulumi.batch.yaml is as before: write this into it, or the next pulumi up takes it back.
  vmpool:max: 60
`,
    );
  });

  it('a dry run asks for nothing to be written, and spare may be 0', async () => {
    const client = new FakeClient();
    client.configAnswer = { ...client.configAnswer, applied: false, detail: 'nothing was changed' };
    const { out } = await play(['scale', '--spare', '0', '--dry-run'], client);
    expect(client.asked[1]).toContain('"dryRun":true,"spare":0');
    expect(out).toBe('vmpool:max  40 -> 60\nNothing was changed.\n');
  });

  it('apply sends the whole file; a file that is no shape is not sent, every error told', async () => {
    const client = new FakeClient();
    expect(await play(['apply', file(good), '--overwrite'], client)).toMatchObject({ code: 0 });
    expect(client.asked[0]).toMatch(/^config .*"vmpool:networks":\["net0"\].*"overwrite":true/);
    const bad = await play(['apply', file(`${good}  vmpool:min: 41\n  vmpool:spar: 1\n`)], client);
    expect(bad).toMatchObject({ code: 2 });
    expect(bad.err).toMatch(/vmpool:spar: is unknown.*\n.*vmpool:min: 41 is more than/);
    expect(await play(['apply', join(directory, 'none')], client)).toMatchObject({
      code: 2,
      err: expect.stringContaining('cannot be read'),
    });
    expect(client.asked).toHaveLength(1);
  });

  it('the refusal of the service is told, with its exit code', async () => {
    const client = new FakeClient();
    client.failure = refusal('conflict', 'this takes back what an operator has set since');
    expect(await play(['apply', file(good)], client)).toMatchObject({
      code: 4,
      err: expect.stringContaining('takes back'),
    });
  });

  it('long values and line feeds do not fill the screen', () => {
    const changes = [{ key: 'vmpool:userData', from: null, to: `#!/bin/sh\n${'x'.repeat(100)}` }];
    const text = configText({ applied: true, detail: 'adopted', changes, warnings: ['low quota'] }, plain);
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/^vmpool:userData {2}unset -> #!\/bin\/sh\\nx+…$/),
      'note  low quota',
      'Adopted.',
    ]);
  });
});
