import { execFile } from 'node:child_process';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly { readonly name: string; readonly gid: number }[];
  readonly home: string;
  readonly shell: string;
}

/** One shell, because starting a process costs a prologue more than anything that these do. */
const lookUp = `
getent passwd "$1" || echo; echo --
ids=$(id -G -- "$1") && echo "$ids"; echo --
[ -z "$ids" ] || getent group $ids
exit 0
`;

const run = (user: string): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(
      '/bin/sh',
      ['-c', lookUp, 'sh', user],
      { timeout: 10_000, killSignal: 'SIGKILL', encoding: 'utf8' },
      (error, out, err) => {
        if (error)
          reject(new Error(`the account ${user} cannot be looked up: ${err.trim() || error.message}`));
        else resolve(out);
      },
    );
  });

/**
 * The account as the worker's name services know it (files, LDAP...). Groups whose name the API would refuse
 * (blanks, as some directories have) are sent under a name made of their number: the number is what counts.
 */
export async function lookUpAccount(user: string): Promise<Account> {
  const [passwd = '', ids = '', groups = ''] = (await run(user)).split(/^--\n/m);
  const [name = '', , uid = '', gid = '', , home = '', shell = ''] = passwd.trim().split(':');
  if (name === '' || !/^\d+$/.test(uid) || !/^\d+$/.test(gid) || ids.trim() === '')
    throw new Error(`the worker's name service knows no account ${user} (getent passwd, id -G)`);
  const gids = [...new Set([gid, ...ids.trim().split(/\s+/)])].filter((id) => /^\d+$/.test(id));
  const names = new Map<string, string>();
  for (const line of groups.split('\n')) {
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
