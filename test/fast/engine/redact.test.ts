import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { redactAnswer } from '../../../src/engine/messages.js';
import type { CellName, MemberName } from '../../../src/pool/model.js';
import {
  engineRedactor,
  redactorOf,
  secretsOfCloudsFile,
  secretsOfEnvironment,
} from '../../../src/engine/redact.js';

describe('secrets in what the engine says', () => {
  it('are known from the environment, by name and in URLs', () => {
    expect(
      secretsOfEnvironment({
        OS_USERNAME: 'pool',
        OS_PASSWORD: 'pass word',
        OS_APPLICATION_CREDENTIAL_ID: 'id',
        OS_APPLICATION_CREDENTIAL_SECRET: 'app-secret',
        OS_TOKEN: 'a-token',
        AWS_SECRET_ACCESS_KEY: 'aws',
        PULUMI_CONFIG_PASSPHRASE_FILE: '/etc/passphrase',
        PULUMI_BACKEND_URL: 'postgres://pulumi:p%40ss@db/state',
        HTTPS_PROXY: 'http://proxy:3128',
      }),
    ).toEqual(['pass word', 'app-secret', 'a-token', 'aws', 'p%40ss', 'p@ss']);
  });

  it('are known from clouds.yaml', () => {
    const text = 'clouds:\n  a:\n    auth: {username: u, password: first, application_credential_secret: second}\n';
    expect(secretsOfCloudsFile(text)).toEqual(['first', 'second']);
    expect(secretsOfCloudsFile(': : {')).toEqual([]);
  });

  it('are taken out as they are, in URLs and in JSON, the longest first', () => {
    const redact = redactorOf(['geheim', 'geheim "und" lang', 'a/b c?d', ' \n']);
    expect(redact('x geheim "und" lang y geheim')).toBe('x [redacted] y [redacted]');
    expect(redact('{"p":"geheim \\"und\\" lang"}')).toBe('{"p":"[redacted]"}');
    expect(redact('https://u:a%2Fb%20c%3Fd@h')).toBe('https://u:[redacted]@h');
    expect(redact('nothing to hide')).toBe('nothing to hide');
  });

  it('do not cut ordinary words when they are short', () => {
    expect(redactorOf(['net'])('net0: the network net (net)')).toBe('net0: the network [redacted] ([redacted])');
  });

  it('are tokens too, by their form', () => {
    const redact = redactorOf([]);
    expect(redact(`token gAAAAABm${'x'.repeat(180)}== expired`)).toBe('token [redacted] expired');
    expect(redact('X-Auth-Token: 0123abc, next')).toBe('X-Auth-Token: [redacted], next');
    expect(redact('"Authorization": "Bearer abc.def"')).toBe('"Authorization": "Bearer [redacted]"');
  });

  it('are taken from the files that the engine is given, as they are then', () => {
    const directory = mkdtempSync(join(tmpdir(), 'vmpool-redact-'));
    try {
      const passphraseFile = join(directory, 'passphrase');
      const cloudsFile = join(directory, 'clouds.yaml');
      writeFileSync(passphraseFile, 'correct horse\n');
      writeFileSync(cloudsFile, 'clouds: {a: {auth: {password: in-the-file}}}\n');
      const redact = engineRedactor(
        {
          cloudEnv: { OS_CLOUD: 'a', OS_CLIENT_CONFIG_FILE: cloudsFile, OS_PASSWORD: 'in-the-env' },
          backendUrl: 's3://bucket',
          passphraseFile,
        },
        { https_proxy: 'http://me:in-the-proxy@proxy' },
      );
      expect(redact('correct horse, in-the-file, in-the-env, in-the-proxy')).toBe(
        '[redacted], [redacted], [redacted], [redacted]',
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('are taken out of every kind of answer', () => {
    const redact = redactorOf(['geheim']);
    const [cell, member] = ['c001' as CellName, 'p-1-aa' as MemberName];
    const answers = [
      { type: 'failed', id: 1, message: 'pulumi up ended with 255: geheim' },
      { type: 'converged', id: 1, result: { ok: false, state: null, kind: 'pulumi', message: 'geheim' } },
      { type: 'previewed', id: 1, result: { changes: {}, text: 'geheim' } },
      { type: 'event', id: 1, event: { type: 'createFailed', cell, member, message: 'geheim' } },
      { type: 'event', id: 1, event: { type: 'removeFailed', cell, member, message: 'geheim' } },
    ] as const;
    for (const answer of answers) {
      const text = JSON.stringify(redactAnswer(answer, redact));
      expect(text).toContain('[redacted]');
      expect(text).not.toContain('geheim');
    }
  });
});
