import { execFile } from 'node:child_process';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly { readonly name: string; readonly gid: number }[];
  readonly home: string;
  readonly shell: string;
}

const run = (command: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(
      command,
      [...args],
      { timeout: 10_000, killSignal: 'SIGKILL', encoding: 'utf8' },
      (error, out) => {
        // getent exits 2 when one of several keys is not found; what it found counts.
        if (error && out === '') reject(new Error(`${command} ${args.join(' ')}: ${error.message}`));
        else resolve(out);
      },
    );
  });

/**
 * The account as the worker's name services know it (files, LDAP...). Groups whose name the API would refuse
 * (blanks, as some directories have) are sent under a name made of their number: the number is what counts.
 */
export async function lookUpAccount(user: string): Promise<Account> {
  const [passwd, ids] = await Promise.all([run('getent', ['passwd', user]), run('id', ['-G', '--', user])]);
  const [name = '', , uid = '', gid = '', , home = '', shell = ''] = passwd.trim().split(':');
  if (name === '' || !/^\d+$/.test(uid) || !/^\d+$/.test(gid))
    throw new Error(`no account ${user} on this worker (getent passwd)`);
  const gids = [...new Set([gid, ...ids.trim().split(/\s+/)])].filter((id) => /^\d+$/.test(id));
  const names = new Map<string, string>();
  for (const line of (await run('getent', ['group', ...gids]).catch(() => '')).split('\n')) {
    const [groupName = '', , groupId = ''] = line.split(':');
    if (/^[a-z_][a-z0-9_.-]{0,31}\$?$/i.test(groupName)) names.set(groupId, groupName);
  }
  return {
    name,
    uid: Number(uid),
    gid: Number(gid),
    groups: gids.map((id) => ({ name: names.get(id) ?? `gid${id}`, gid: Number(id) })),
    home: home === '' ? '/' : home,
    shell: shell === '' ? '/bin/sh' : shell,
  };
}
