/** What one entry of a file in exports(5)'s format says. */
export interface Exported {
  readonly path: string;
  readonly client: string;
  readonly options: readonly string[];
}

/**
 * Reads exports(5) as its manual page tells it, and refuses what it does not allow: one export a line, continued by a
 * backslash at its end; a `#` at the beginning of a line or after a blank begins a comment; a path may be in double
 * quotes; a backslash and three octal digits stand for a byte; each client is followed at once by its options.
 */
export function parseExports(text: string): readonly Exported[] {
  const found: Exported[] = [];
  for (const line of text.replace(/\\\n/g, ' ').split('\n')) {
    const plain = line.replace(/(^|\s)#(?=(?:[^"]*"[^"]*")*[^"]*$).*$/, '').trim();
    if (plain === '') continue;
    const match = /^("(?:[^"]*)"|[^\s"]+)\s+(\S.*)$/.exec(plain);
    if (match === null) throw new Error(`no export: ${line}`);
    const [, quoted = '', clients = ''] = match;
    const bytes = Buffer.from(quoted.replace(/^"|"$/g, ''), 'utf8').toString('latin1');
    const path = Buffer.from(
      bytes.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
      'latin1',
    ).toString('utf8');
    if (!path.startsWith('/')) throw new Error(`no absolute path: ${line}`);
    for (const client of clients.split(/\s+/)) {
      // A blank before the bracket would give the options to everybody.
      const one = /^([A-Za-z0-9.:/*?@[\]_-]+)\(([^()]*)\)$/.exec(client);
      if (one === null) throw new Error(`no client with options: ${client}`);
      found.push({ path, client: one[1] ?? '', options: (one[2] ?? '').split(',') });
    }
  }
  return found;
}
