import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { diffConfig, mergeReload } from '../../../src/config/diff.js';
import { formatConfigErrors, loadConfig, parseConfig, type Config } from '../../../src/config/load.js';
import { configOfPool, poolsOf } from '../../../src/config/of-pool.js';
import { cellsAtOnce, memoryHere, usualParallel } from '../../../src/config/parallel.js';
import { duration, formatDuration, size } from '../../../src/config/quantities.js';
import { configurationReference } from '../../../src/config/reference.js';
import { loadOrMakeSecret } from '../../../src/config/secret-file.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { settingsOf } from '../../../src/service/parts.js';

let dir: string;
const token = 'a-token-of-more-than-twenty-characters';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'vmpool-config-'));
  for (const name of ['token', 'pass', 'key'])
    writeFileSync(join(dir, name), `${token}-${name}\n`, { mode: 0o600 });
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const minimal = `pool: batch
stateDir: state
auth:
  tokens:
    - { name: n1, role: worker, worker: node1, tokenFile: token }
engine: { passphraseFile: pass }
guest: { privateKeyFile: key }
`;

const good = (text = minimal, env = {}): Config => {
  const result = parseConfig(text, dir, env);
  if (!result.ok) throw new Error(formatConfigErrors('test.yaml', result.errors));
  return result.config;
};
const errorsOf = (text: string, env = {}): readonly string[] => {
  const result = parseConfig(text, dir, env);
  return result.ok ? [] : formatConfigErrors('f', result.errors).split('\n');
};

describe('classes', () => {
  const withClasses = (yaml: string): string => `${minimal}classes:\n${yaml}`;

  it('are none by default, and each has a directory of its own but the pool that was there before', () => {
    expect(good().classes).toEqual([]);
    expect(poolsOf(good())).toEqual(['batch']);
    const config = good(
      withClasses(
        '  - { pool: batch, queues: [short] }\n  - { pool: large, features: [big], reserved: true, memory: 64GiB }\n',
      ),
    );
    expect(poolsOf(config)).toEqual(['batch', 'large']);
    expect(config.classes[1]).toEqual({
      pool: 'large',
      features: ['big'],
      reserved: true,
      memory: 64 * 2 ** 30,
    });
    expect(configOfPool(config, 'batch')).toEqual(config);
    expect(configOfPool(config, 'large')).toEqual({
      ...config,
      pool: 'large',
      stateDir: join(dir, 'state/pools/large'),
    });
  });

  it('are refused where they could not live side by side', () => {
    expect(errorsOf(withClasses('  - pool: large\n'))).toEqual([
      'f:9: classes: one of the classes must be the pool batch itself (pool: batch)',
    ]);
    expect(errorsOf(withClasses('  - pool: batch\n  - pool: batch\n'))).toEqual([
      'f:10: classes.1.pool: another class is named batch',
    ]);
    for (const name of ['batch-c1', 'batch-svc-nagios', 'batch-summary', 'batch-c001-c2'])
      expect(errorsOf(withClasses(`  - pool: batch\n  - pool: ${name}\n`))).toEqual([
        expect.stringContaining('is also the name of a stack of pool batch'),
      ]);
    for (const name of ['batch-large', 'batch-cold', 'batch-c', 'batchy'])
      expect(errorsOf(withClasses(`  - pool: batch\n  - pool: ${name}\n`))).toEqual([]);
    expect(errorsOf(withClasses('  - { pool: batch, reserved: true }\n'))).toEqual([
      'f:9: classes.0.reserved: nobody can ask for a class without features: name some, or leave this out',
    ]);
    expect(errorsOf(withClasses('  - { pool: batch, queues: [] }\n'))).toEqual([
      'f:9: classes.0.queues: needs a queue; leave it out for every queue',
    ]);
    expect(errorsOf(withClasses('  - { pool: batch, queue: short }\n'))).toEqual([
      'f:9: classes.0.queue: unknown key; did you mean queues?',
    ]);
  });
});

describe('the configuration file', () => {
  it.each([
    [24, 1, 32],
    [8, 1, 20],
    [4, 1, 10],
    [4, 2, 5],
    [1, 1, 4],
    [24, 16, 4],
  ])(
    'with %i GiB of memory and %i pools brings up %i cells of each at the same time',
    (gib, pools, cells) => {
      expect(usualParallel(gib * 1024 ** 3, pools)).toBe(cells);
    },
  );

  it('brings up as many cells as the memory of this machine carries, unless it says how many', () => {
    expect(cellsAtOnce(good())).toBe(usualParallel(memoryHere(), 1));
    expect(cellsAtOnce(good(`${minimal}classes: [{ pool: batch }, { pool: large }]\n`))).toBe(
      usualParallel(memoryHere(), 2),
    );
    expect(cellsAtOnce({ ...good(), engine: { ...good().engine, maxParallel: 3 } })).toBe(3);
    expect(memoryHere()).toBeLessThanOrEqual(totalmem());
    expect(memoryHere()).toBeGreaterThan(0);
  });

  it('needs only a few keys; the rest has defaults', () => {
    const config = good();
    expect(config).toMatchObject({
      pool: 'batch',
      stateDir: join(dir, 'state'),
      capabilitySecretFile: join(dir, 'state/capability.key'),
      listen: { host: '127.0.0.1', port: 8470 },
      engine: { backend: `file://${dir}/state/pulumi`, passphraseFile: join(dir, 'pass') },
      limits: { bodyBytes: 1_048_576, maxWait: 60_000 },
    });
    expect(config.policy).toEqual(defaultPolicy);
  });

  it('holds tokens as hashes only', () => {
    const config = good();
    const sha256 = createHash('sha256').update(`${token}-token`).digest('hex');
    expect(config.auth.tokens).toEqual([{ name: 'n1', role: 'worker', worker: 'node1', sha256 }]);
    expect(JSON.stringify(config)).not.toContain(token);
  });

  it('takes tokens from the environment', () => {
    const text = minimal.replace('tokenFile: token', 'tokenEnv: NODE1_TOKEN');
    expect(good(text, { NODE1_TOKEN: token }).auth.tokens[0]?.sha256).toHaveLength(64);
    expect(errorsOf(text)).toEqual(['f:5: auth.tokens.0.tokenEnv: the variable NODE1_TOKEN is not set']);
  });

  it('names every error at once, each with its line', () => {
    expect(
      errorsOf(`pool: Batch_1
lisen: {}
auth:
  tokens:
    - name: a
      role: worker
      tokenFile: token
      tokenEnv: X
    - name: a
      role: boss
      token: abc
engine:
  pasphraseFile: x
guest: { privateKeyFile: key }
policy:
  bootLimit: 90
  probEvery: 1m
  probeEvery: 0s
`),
    ).toEqual([
      expect.stringMatching(/^f:1: pool: a lower case letter/),
      expect.stringMatching(/^f:2: lisen: unknown key; did you mean listen\?$/),
      expect.stringMatching(/^f:5: auth\.tokens\.0: needs exactly one of/),
      expect.stringMatching(/^f:5: auth\.tokens\.0\.worker: required for role worker/),
      expect.stringMatching(/^f:10: auth\.tokens\.1\.role: expected one of "worker"/),
      expect.stringMatching(/^f:11: auth\.tokens\.1\.token: secrets are never written in this file/),
      expect.stringMatching(/^f:13: engine\.passphraseFile: is required: Passphrase/),
      expect.stringMatching(/^f:13: engine\.pasphraseFile: unknown key; did you mean passphraseFile\?$/),
      expect.stringMatching(/^f:16: policy\.bootLimit: a time with its unit/),
      expect.stringMatching(/^f:17: policy\.probEvery: unknown key; did you mean probeEvery\?$/),
      expect.stringMatching(/^f:18: policy\.probeEvery: must be more than zero/),
    ]);
  });

  it('lets Pulumi wait for a create as long as the policy lets a VM boot, and refuses less', () => {
    expect(good().engine.createTimeout).toBe(defaultPolicy.bootLimitMs + 60_000);
    expect(good(`${minimal}policy: { bootLimit: 30m }`).engine.createTimeout).toBe(31 * 60_000);
    const given = (time: string): string =>
      `${minimal.replace('engine: {', `engine: { createTimeout: ${time},`)}policy: { bootLimit: 3m }`;
    expect(good(given('3m')).engine.createTimeout).toBe(180_000);
    expect(errorsOf(given('179s'))).toEqual([
      expect.stringMatching(
        /^f:6: engine\.createTimeout: is shorter than policy\.bootLimit \(3m\): .*leave it out/,
      ),
    ]);
  });

  it.each(['0.0.0.0', '::', '192.168.1.1', 'pool.example.org', '127.evil.example'])(
    'refuses to listen on %s without TLS',
    (host) => {
      expect(errorsOf(`${minimal}listen: { host: '${host}' }`)).toEqual([
        expect.stringContaining('listen.host: listening beyond loopback requires listen.tls'),
      ]);
      const text = `${minimal}listen: { host: '${host}', tls: { cert: c.pem, key: key } }`;
      expect(good(text).listen.tls).toEqual({ cert: join(dir, 'c.pem'), key: join(dir, 'key') });
    },
  );

  it('refuses secrets that others may read, and those that are not there', () => {
    writeFileSync(join(dir, 'open'), token, { mode: 0o600 });
    chmodSync(join(dir, 'open'), 0o644);
    expect(
      errorsOf(
        minimal
          .replace('tokenFile: token', 'tokenFile: open')
          .replace('passphraseFile: pass', 'passphraseFile: none'),
      ),
    ).toEqual([
      expect.stringContaining(`auth.tokens.0.tokenFile: ${dir}/open is open to every user of this machine`),
      expect.stringContaining(`engine.passphraseFile: ${dir}/none cannot be read: ENOENT`),
    ]);
  });

  it('refuses short and repeated tokens without showing them', () => {
    expect(errorsOf(minimal.replace('tokenFile: token', 'tokenEnv: T'), { T: 'short' })).toEqual([
      'f:5: auth.tokens.0: the token has fewer than 20 characters',
    ]);
    const twice = minimal.replace('engine:', '    - { name: n2, role: viewer, tokenFile: token }\nengine:');
    expect(errorsOf(twice)).toEqual(['f:6: auth.tokens.1: is the same token as n1']);
  });

  it('tells what is wrong with YAML itself, and a file that is not there', () => {
    expect(errorsOf('pool: a\npool: b\n')[0]).toMatch(/^f:2: Map keys must be unique/);
    expect(errorsOf('')[0]).toMatch(/is required|expected/);
    expect(errorsOf('- a')[0]).toMatch(/expected object/);
    expect(loadConfig(join(dir, 'none.yaml'), {})).toMatchObject({ ok: false, errors: [{ path: '' }] });
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        parseConfig(text, dir, {});
        parseConfig(`${minimal}${text}`, dir, {});
      }),
    );
  });
});

describe('times and sizes', () => {
  it('are read with their units and written as an operator would', () => {
    expect(['500ms', '90s', '10m', '2h', '7d', '1.5h'].map((text) => duration.parse(text))).toEqual([
      500, 90_000, 600_000, 7_200_000, 604_800_000, 5_400_000,
    ]);
    expect([90_000, 600_000, 604_800_000, 500].map(formatDuration)).toEqual(['90s', '10m', '7d', '500ms']);
    expect(size.parse('1MiB')).toBe(1_048_576);
    for (const bad of ['10', '-1s', '1 h', '1y', 's', '1e9d', ''])
      expect(duration.safeParse(bad).success).toBe(false);
  });

  it('round trip', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1e10 }), (ms) => {
        expect(duration.parse(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});

describe('the example and the reference', () => {
  const examplePath = join(process.cwd(), 'config/vmpool.example.yaml');
  const files = (text: string): string =>
    text.replaceAll(/\/etc\/vmpool\/(tokens\/)?([\w.]+)/g, (_all, _folder, name: string) => {
      mkdirSync(join(dir, 'etc'), { recursive: true });
      writeFileSync(join(dir, 'etc', name), `${token}-${name}`, { mode: 0o600 });
      return join(dir, 'etc', name);
    });

  it('the example is valid as it stands', () => {
    expect(good(files(readFileSync(examplePath, 'utf8'))).pool).toBe('batch');
  });

  it('what stands behind # in the policy and the limits of the example are the defaults', () => {
    const text = readFileSync(examplePath, 'utf8');
    const policy = text
      .slice(text.indexOf('policy:'), text.indexOf('# limits:'))
      .replaceAll(/^ {2}# (\w+: \S+)$/gm, '  $1');
    const limits = text.slice(text.indexOf('# limits:'), text.indexOf('logging:')).replaceAll(/^# /gm, '');
    expect(Object.keys(defaultPolicy)).toHaveLength(policy.match(/^ {2}\w+: /gm)?.length ?? 0);
    const config = good(`${minimal}${policy}${limits}`);
    expect(config.policy).toEqual(defaultPolicy);
    expect(config.limits).toEqual(good().limits);
  });

  it('the reference is what the schema says (UPDATE_REFERENCE=1 writes it)', () => {
    const path = join(process.cwd(), 'docs/reference/configuration.md');
    if (process.env['UPDATE_REFERENCE'] === '1') {
      mkdirSync(join(process.cwd(), 'docs/reference'), { recursive: true });
      writeFileSync(path, configurationReference());
    }
    expect(readFileSync(path, 'utf8')).toBe(configurationReference());
  });
});

describe('reload', () => {
  it('tells what takes effect and what waits for a restart, and merges accordingly', () => {
    const before = good();
    const after = good(
      `${minimal
        .replace('tokenFile: token', 'tokenFile: key')
        .replace('engine: {', 'engine: { createTimeout: 11m, maxParallel: 9, adoptEvery: 5s,')
        .replace('guest: {', 'guest: { environment: { A: b },')}policy: { bootLimit: 3m }
listen: { port: 1 }
limits: { maxWait: 5s, connections: 50 }
logging: { level: debug }
`,
    );
    expect(diffConfig(before, after)).toEqual({
      applied: [
        'auth.tokens',
        'engine.adoptEvery',
        'engine.maxParallel',
        'limits.maxWait',
        'logging.level',
        'policy.bootLimitMs',
      ],
      needsRestart: ['guest.environment.A', 'limits.connections', 'listen.port'],
    });
    const merged = mergeReload(before, after);
    expect(merged.policy.bootLimitMs).toBe(180_000);
    expect(merged.listen.port).toBe(8470);
    expect(merged.engine).toMatchObject({ maxParallel: 9, adoptEvery: 5_000, createTimeout: 660_000 });
    expect(merged.guest.environment).toEqual({});
    expect(settingsOf(merged)).toMatchObject({ maxCells: 9, adoptEveryMs: 5_000 });
    expect(diffConfig(merged, after).applied).toEqual([]);
    expect(diffConfig(before, good())).toEqual({ applied: [], needsRestart: [] });
  });
});

describe('a reload with other classes', () => {
  it('leaves the pools that are served as they are, and says that they wait for a restart', () => {
    const two = (more: string): string => `${minimal}classes: [{ pool: batch }, { pool: large${more} }]\n`;
    const running = good(two(''));
    for (const text of [minimal, two(', queues: [long]'), `${minimal}classes: [{ pool: batch }]\n`]) {
      const after = good(text);
      expect(diffConfig(running, after)).toEqual({ applied: [], needsRestart: ['classes'] });
      const merged = mergeReload(running, after);
      expect(poolsOf(merged)).toEqual(['batch', 'large']);
      expect(merged.classes).toEqual(running.classes);
    }
  });
});

describe('a reload of the boot limit alone', () => {
  it('says that the limit of creates that follows from it waits for a restart', () => {
    const after = good(`${minimal}policy: { bootLimit: 30m }`);
    expect(diffConfig(good(), after)).toEqual({
      applied: ['policy.bootLimitMs'],
      needsRestart: ['engine.createTimeout'],
    });
    expect(mergeReload(good(), after).engine.createTimeout).toBe(660_000);
  });
});

describe('the capability secret', () => {
  it('is made once, for the owner alone, and kept', async () => {
    const path = join(dir, 'capability.key');
    const made = await loadOrMakeSecret(path);
    expect(made).toHaveLength(64);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await loadOrMakeSecret(path)).toBe(made);
    chmodSync(path, 0o644);
    await expect(loadOrMakeSecret(path)).rejects.toThrow('open to every user');
  });
});
