import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A private authority and a certificate of 127.0.0.1 under it, made in `directory`; all PEM. */
export function privateAuthority(directory: string): {
  readonly caFile: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
} {
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { stdio: 'ignore', cwd: directory });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '2',
    '-subj',
    '/CN=Site CA',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
  );
  openssl('req', ...key, '-subj', '/CN=cloud', '-keyout', 'key.pem', '-out', 'request.pem');
  writeFileSync(join(directory, 'names'), 'subjectAltName=IP:127.0.0.1\n');
  const from = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  openssl('x509', '-req', '-in', 'request.pem', ...from, '-out', 'cert.pem');
  const text = (name: string): string => readFileSync(join(directory, name), 'utf8');
  return {
    caFile: join(directory, 'ca.pem'),
    ca: text('ca.pem'),
    cert: text('cert.pem'),
    key: text('key.pem'),
  };
}
