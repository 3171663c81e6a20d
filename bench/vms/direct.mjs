/** The floors: the same servers by plain calls of the API, and by one plain `pulumi up`. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { timed, timeOf, until } from '../calls.mjs';

const root = join(import.meta.dirname, '..', '..');
const callsAtOnce = 16;
const limitMs = 30 * 60_000;
const callLimitMs = 60_000;
const postLimitMs = 180_000;

/** A caller of the cloud's API with a token of its own. */
export async function directCaller({ authUrl, cloudEnv }) {
  const login = await fetch(`${authUrl}/auth/tokens`, {
    method: 'POST',
    signal: AbortSignal.timeout(callLimitMs),
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
      signal: AbortSignal.timeout(callLimitMs),
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
  /** Resolves with the new server's id. */
  const create = async (name, more = {}) => {
    const server = { name, flavorRef, imageRef, networks: [{ uuid: network }], ...more };
    return (await call('POST', '/compute/v2.1/servers', { server })).server.id;
  };
  const list = async () => {
    const servers = [];
    for (let marker = ''; ;) {
      const page = (await call('GET', `/compute/v2.1/servers/detail?limit=1000${marker}`)).servers;
      servers.push(...page);
      if (page.length < 1_000) return servers;
      marker = `&marker=${page.at(-1).id}`;
    }
  };
  const remove = (id) => call('DELETE', `/compute/v2.1/servers/${id}`);
  /** Gives the cloud a public key to put on servers; resolves with the name to ask for it by. */
  const keyPair = async (publicKey) => {
    await call('POST', '/compute/v2.1/os-keypairs', { keypair: { name: 'direct', public_key: publicKey } });
    return 'direct';
  };
  return { create, list, remove, keyPair };
}

/** Milliseconds of `n` plain POSTs, one after the other; what they made is deleted. */
export async function directPosts(site, n) {
  const { create, remove } = await directCaller(site);
  const ids = [];
  const times = await timed(n, 1, async (at) => ids.push(await create(`floor-${at}`)));
  for (const id of ids) await remove(id);
  return times;
}

/**
 * Makes `n` servers by calls of their own, waits until all are ACTIVE and take a connection, and deletes them.
 * Milliseconds to the last of them.
 */
export async function directServers(site, n) {
  const { create, list, remove } = await directCaller(site);
  const ids = [];
  const ms = await timeOf(async () => {
    await timed(n, callsAtOnce, async (at) => ids.push(await create(`direct-${at}`)));
    const ours = await until(
      'the servers to be ACTIVE',
      limitMs,
      async () => {
        const up = (await list()).filter(
          ({ status, name }) => status === 'ACTIVE' && name.startsWith('direct-'),
        );
        return up.length === n ? up : null;
      },
      100,
    );
    await timed(n, callsAtOnce, (at) => firstWord(Object.values(ours[at].addresses)[0][0].addr));
  });
  await timed(n, callsAtOnce, (at) => remove(ids[at]));
  await until(
    'the servers to be gone',
    limitMs,
    async () => !(await list()).some(({ name }) => name.startsWith('direct-')),
  );
  return ms;
}

/** True when a TCP connection to port 22 of `host` stands and the server has said something; false when it cannot. */
export const firstWord = (host) =>
  new Promise((resolve) => {
    const socket = connect(22, host);
    const end = (ok) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.setTimeout(1_000, () => end(false));
  });

/** A project of its own with one plain stack of `n` instances, for the command line. */
async function plainProject(site, name, n) {
  const dir = join(site.dir, name);
  mkdirSync(dir);
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'Pulumi.yaml'), `name: ${name}\nruntime: nodejs\nmain: index.cjs\n`);
  writeFileSync(join(dir, 'package.json'), `{"name":"${name}","private":true}\n`);
  writeFileSync(
    join(dir, 'index.cjs'),
    `const os = require('@pulumi/openstack');
for (let n = 0; n < ${n}; n += 1)
  new os.compute.Instance('${name}-' + n, { flavorName: 'small', imageName: 'debian-vm', networks: [{ name: 'net0' }] });
`,
  );
  await site.pulumi(dir, 'stack', 'init', name);
  return (command) =>
    site.pulumi(dir, command, '--yes', '--skip-preview', '--stack', name, '--parallel', String(n));
}

/** Milliseconds of one plain `pulumi up` of a stack with `n` instances, from nothing. Destroys them again. */
export async function plainPulumi(site, n) {
  const pulumi = await plainProject(site, 'plain', n);
  const ms = await timeOf(() => pulumi('up'));
  await pulumi('destroy');
  return ms;
}

/** Milliseconds from the start of one plain `pulumi up` of one instance to its POST, `rounds` times. */
export async function plainPulumiToPost(site, rounds) {
  const times = [];
  for (let n = 0; n < rounds; n += 1) {
    const pulumi = await plainProject(site, `one${n}`, 1);
    await site.control.clearCalls();
    const since = Date.now();
    const up = pulumi('up');
    const posted = firstPost(site, since);
    await Promise.all([up, posted]);
    times.push(await posted);
    await pulumi('destroy');
  }
  return times;
}

/** Milliseconds from `since` to the first POST /servers after the last `clearCalls`. */
export const firstPost = async (site, since) => {
  const post = await until(
    'POST /servers',
    postLimitMs,
    async () => (await site.control.calls({ method: 'POST', path: '/v2.1/servers' }))[0],
    20,
  );
  return post.at - since;
};
