import { describe, expect, it } from '@jest/globals';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { directoryOfBackend } from '../../../src/engine/backend.js';
import { engineEnvironment, enginePlainEnv } from '../../../src/engine/environment.js';
import { parseCheckpointFile, parseExport } from '../../../src/engine/deployment.js';
import { answerSchema, requestSchema } from '../../../src/engine/messages.js';
import { engineOptionsSchema } from '../../../src/engine/options.js';
import { parsePoolOutputs } from '../../../src/engine/pool-outputs.js';
import { Places, Turns } from '../../../src/engine/turns.js';
import type { MemberSpec } from '../../../src/pool/model.js';
import { generationOf } from '../../../stacks/shape.js';
import { summaryTable } from '../../../stacks/summary.js';

const spec: MemberSpec = {
  flavor: 'small',
  image: 'debian-vm',
  networks: ['net0'],
  sshNetwork: 'net0',
  siteNetwork: 'net0',
  securityGroups: [],
  availabilityZones: [],
  userData: '',
  metadata: {},
  configDrive: false,
  bootVolumeGiB: null,
  floatingIpPool: null,
  serverGroupPolicy: null,
};
const options = engineOptionsSchema.parse({
  repoRoot: '/opt/vmpool',
  stateDir: '/var/lib/vmpool',
  pool: 'p',
  installation: 'inst',
  pulumi: { bin: '/opt/pulumi/bin/pulumi', home: '/opt/pulumi/home' },
  backendUrl: 'file:///var/lib/vmpool/pulumi',
  passphraseFile: '/etc/vmpool/passphrase',
  cloudEnv: { OS_PASSWORD: 'hidden' },
  maxParallel: 2,
  createTimeoutMs: 600_000,
});

describe("the pool stack's outputs", () => {
  const shape = { min: 1, max: 2, spare: 0, maxAgeMs: null, spec, generation: generationOf(spec) };
  it('are taken over when they are whole', () => {
    expect(parsePoolOutputs({ shape })).toEqual({ ok: true, shape, services: null });
  });
  it.each([
    ['never brought up', null],
    ['of another program', { members: [] }],
    ['with a field missing', { shape: { ...shape, max: undefined } }],
    ['with a generation that is not the hash of the spec', { shape: { ...shape, generation: 'abc' } }],
  ])('are refused with the reason when %s', (_, outputs) => {
    expect(parsePoolOutputs(outputs)).toMatchObject({ ok: false, why: expect.stringContaining('pulumi up') });
  });
});

describe('messages to and from the engine process', () => {
  it('are understood after the way through JSON', () => {
    const converge = {
      type: 'converge',
      id: 1,
      wish: { cell: 'c001', members: [{ name: 'a', generation: 'g', spec, made: false }], retire: ['b'] },
    };
    expect(requestSchema.parse(JSON.parse(JSON.stringify(converge)))).toEqual(converge);
    const converged = {
      type: 'converged',
      id: 1,
      result: { ok: true, state: { instances: [{ member: 'a', serverId: 's' }], lostCreates: [], unlisted: [] } },
    };
    expect(answerSchema.parse(JSON.parse(JSON.stringify(converged)))).toEqual(converged);
  });
  it('with a cell name that is none, or a wish without its lists, are refused', () => {
    const wish = { cell: '../x', members: [], retire: [] };
    expect(requestSchema.safeParse({ type: 'converge', id: 1, wish }).success).toBe(false);
    expect(requestSchema.safeParse({ type: 'converge', id: 1, wish: { cell: 'c001', retire: [] } }).success).toBe(false);
  });
});

describe('environments', () => {
  it("give the engine the cloud's credentials and nothing of the service's own options", () => {
    const environment = engineEnvironment(options, { PATH: '/bin', NODE_OPTIONS: '--x', AWS_SECRET_ACCESS_KEY: 'k' });
    expect(environment).toMatchObject({
      OS_PASSWORD: 'hidden',
      PATH: '/opt/pulumi/bin:/bin',
      VMPOOL_ENGINE_MARK: 'inst/p',
      PULUMI_CONFIG_PASSPHRASE_FILE: '/etc/vmpool/passphrase',
    });
    expect(environment).not.toHaveProperty('NODE_OPTIONS');
  });
  it('give the plain command line the same stack and no credential', () => {
    const plain = enginePlainEnv(options, 'p-c001');
    expect(plain.arguments).toEqual(['--stack', 'p-c001', '--config-file', '/var/lib/vmpool/engine/stacks/Pulumi.p-c001.yaml']);
    expect(plain.directory).toBe('/opt/vmpool');
    expect(JSON.stringify(plain)).not.toContain('hidden');
  });
});

describe('a backend', () => {
  it('is a directory when its URL says so', () => {
    expect(directoryOfBackend('file:///var/lib/x')).toBe('/var/lib/x');
    expect(directoryOfBackend('file:///var/lib/x?no_tmp_dir=true')).toBe('/var/lib/x');
    expect(directoryOfBackend('file://~/x')).toBe(join(homedir(), 'x'));
    expect(directoryOfBackend('s3://bucket')).toBeNull();
  });
  it("'s states are read in both forms, or it is said why not", () => {
    expect(parseCheckpointFile('{"version":3,"checkpoint":{"stack":"s","latest":{"resources":[]}}}')).toEqual({
      ok: true,
      state: { version: 3, deployment: { resources: [] } },
    });
    expect(parseCheckpointFile('{"version":3,"checkpoint":{"stack":"s"}}')).toMatchObject({ ok: true });
    expect(parseExport('{"version":3,"deployment":null}')).toMatchObject({ ok: true });
    for (const text of ['', '{"version":3', '{"version":3}', '[]']) {
      expect(parseCheckpointFile(text)).toMatchObject({ ok: false });
    }
  });
});

describe('turns', () => {
  it('let a limited number of pieces of work go on, one for each key', async () => {
    const turns = new Turns();
    const places = new Places(2);
    const running = new Set<string>();
    let most = 0;
    const work = (key: string): Promise<void> =>
      turns.use(key, () =>
        places.use(async () => {
          expect(running.has(key)).toBe(false);
          running.add(key);
          most = Math.max(most, running.size);
          await new Promise((resolve) => setImmediate(resolve));
          running.delete(key);
        }),
      );
    await Promise.all(['a', 'a', 'b', 'c', 'b', 'a'].map(work));
    expect(most).toBe(2);
  });
});

describe('the table of members', () => {
  it('lines up what the service published', () => {
    const member = { name: 'p-1-aa', cell: 'c001', id: null, generation: 'g', addresses: {}, state: 'Free' };
    const [, header, row] = summaryTable('p', { members: [member] }).split('\n');
    expect(header?.indexOf('STATE')).toBe(row?.indexOf('Free'));
    expect(summaryTable('p', { members: [] })).toBe('Pool p has no members.');
    expect(summaryTable('p', {})).toContain('another version');
  });
});
