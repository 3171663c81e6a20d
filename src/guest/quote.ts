/**
 * One word for a POSIX shell: whatever the text holds, the shell sees exactly that text. Throws for NUL, which no
 * argument can hold.
 */
export function shellWord(text: string): string {
  if (text.includes('\0')) throw new Error('a shell word cannot hold a NUL character');
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * The command line for a script of ours: `bash -c SCRIPT vmpool ARGUMENT...`, through sudo unless the account is
 * root. The script is text of ours that nothing is inserted into; what varies goes in as arguments or on standard
 * input.
 */
export function scriptCommand(adminUser: string, script: string, args: readonly string[]): string {
  const sudo = adminUser === 'root' ? [] : ['sudo', '-n', '--'];
  return [...sudo, 'bash', '--noprofile', '--norc', '-c', script, 'vmpool', ...args].map(shellWord).join(' ');
}

/**
 * Fields for a script's standard input, each ended by NUL. Throws when a field holds one. Text that came from a
 * survey is `latin1` (each byte of the VM's one character) and goes back as such.
 */
export function nulFields(
  fields: readonly (string | number)[],
  encoding: 'utf8' | 'latin1' = 'utf8',
): Buffer {
  const texts = fields.map(String);
  if (texts.some((text) => text.includes('\0'))) throw new Error('a field cannot hold a NUL character');
  return Buffer.from(texts.map((text) => `${text}\0`).join(''), encoding);
}
