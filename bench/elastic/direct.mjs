/** The floors: the same servers by plain calls of the API, and by one plain `pulumi up`. */
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { timed } from '../scale/measure.mjs';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const callsAtOnce = 16;

/** A caller of the cloud's API with a token of its own. */
export async function directCaller({ authUrl, cloudEnv }) {
  const login = await fetch(`${authUrl}/auth/tokens`, {
    method: 'POST',
    body: JSON.stringify({
      auth: {
        identity: {
          methods: ['password'],
          password: {
            user: { name: cloudEnv.OS_USERNAME, domain: { id: 'default' }, password: cloudEnv.OS_PASSWORD },
          },
        },
        scope: { project: { name: cloudEnv.OS_PROJECT_NAME, domain: { name: 'Default' } } },
      },
    }),
  });
  const token = login.headers.get('x-subject-token') ?? '';
  const origin = authUrl.replace(/\/identity\/v3$/, '');
  const call = async (method, path, body) => {
    const answer = await fetch(`${origin}${path}`, {
      method,
      headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  };
  const named = async (path, list, name) =>
    (await call('GET', path))[list].find((one) => one.name === name).id;
  const flavorRef = await named('/compute/v2.1/flavors', 'flavors', 'small');
  const imageRef = await named('/image/v2/images', 'images', 'debian-vm');
  const network = await named('/network/v2.0/networks', 'networks', 'net0');
  const create = async (name) => {
    const server = { name, flavorRef, imageRef, networks: [{ uuid: network }] };
    return (await call('POST', '/compute/v2.1/servers', { server })).server.id;
  };
  const list = async () => (await call('GET', '/compute/v2.1/servers/detail?limit=1000')).servers;
  const remove = (id) => call('DELETE', `/compute/v2.1/servers/${id}`);
  return { create, list, remove };
}

/** Makes `n` servers by calls of their own, waits until all are ACTIVE, and deletes them. Milliseconds to ACTIVE. */
export async function directServers(site, n) {
  const { create, list, remove } = await directCaller(site);
  const since = performance.now();
  const ids = [];
  const posts = await timed(n, callsAtOnce, async (at) => ids.push(await create(`direct-${at}`)));
  while (
    (await list()).filter(({ status, name }) => status === 'ACTIVE' && name.startsWith('direct-')).length < n
  )
    await sleep(100);
  const ms = performance.now() - since;
  await timed(n, callsAtOnce, (at) => remove(ids[at]));
  while ((await list()).some(({ name }) => name.startsWith('direct-'))) await sleep(100);
  return { ms, posts };
}

/** Milliseconds of one plain `pulumi up` of a stack with `n` instances, and of its destroy. */
export async function plainPulumi(site, n) {
  const dir = join(site.dir, 'plain');
  mkdirSync(dir);
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'Pulumi.yaml'), 'name: plain\nruntime: nodejs\nmain: index.cjs\n');
  writeFileSync(join(dir, 'package.json'), '{"name":"plain","private":true}\n');
  writeFileSync(
    join(dir, 'index.cjs'),
    `const os = require('@pulumi/openstack');
for (let n = 0; n < ${n}; n += 1)
  new os.compute.Instance('plain-' + n, { flavorName: 'small', imageName: 'debian-vm', networks: [{ name: 'net0' }] });
`,
  );
  const options = { cwd: dir, env: site.env, maxBuffer: 64 * 1024 * 1024 };
  const pulumi = (...args) => run(site.pulumi, args, options);
  await pulumi('stack', 'init', 'plain');
  const since = performance.now();
  await pulumi('up', '--yes', '--skip-preview', '--stack', 'plain', '--parallel', String(callsAtOnce));
  const ms = performance.now() - since;
  await pulumi('destroy', '--yes', '--skip-preview', '--stack', 'plain', '--parallel', String(callsAtOnce));
  return ms;
}
