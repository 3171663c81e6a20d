import { z } from 'zod';
import { commonSettings, plainPath, siteCommand } from './host.js';
import type { HostPlan, ServiceInput } from './plan.js';
import { shellQuote } from './shell.js';

/** One option of exports(5), with its value if it has one. Options are separated by commas, so none is in one. */
const exportOption = z.string().regex(/^[a-z_]+(=[A-Za-z0-9_./:@-]+)?$/, 'is no export option');

const client = z.string().regex(/^[0-9A-Fa-f.:]{2,45}(\/\d{1,3})?$/, 'is no address or network');

const exportSchema = z.strictObject({
  path: z
    .string()
    .max(1024)
    .regex(/^\/[^\p{Cc}]*$/u, 'is no absolute path'),
  options: z.array(exportOption).default(['rw', 'sync', 'root_squash', 'no_subtree_check']),
  /** May mount it besides the members: a login node, a backup. */
  also: z.array(client).default([]),
});

/** Settings of the service kind `nfs-kernel`. */
export const kernelNfsSettings = z.strictObject({
  type: z.literal('nfs-kernel'),
  ...commonSettings,
  /** exportfs reads only names that end in `.exports` and begin with no dot. */
  directory: plainPath.default('/etc/exports.d'),
  exports: z.array(exportSchema).min(1),
  exportfs: plainPath.default('/usr/sbin/exportfs'),
  check: siteCommand.optional(),
});
export type KernelNfsSettings = z.infer<typeof kernelNfsSettings>;

/**
 * A path as exports(5) reads it: in double quotes, where a backslash and three octal digits stand for a byte. Whatever
 * has a meaning there (blank, quote, backslash, `#`) is written as such.
 */
export const exportPath = (path: string): string => {
  const octal = (byte: number): string => `\\${byte.toString(8).padStart(3, '0')}`;
  const bytes = [...Buffer.from(path, 'utf8')].map((byte) =>
    /[A-Za-z0-9_.,+:@%/-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : octal(byte),
  );
  return `"${bytes.join('')}"`;
};

/** Our file, whole: a line for each export and VM, since lines of one path add up. Pure. */
export const kernelExports = (settings: KernelNfsSettings, input: ServiceInput, id: string): string => {
  const lines = [`# vmpool:${id} writes this file; changes by hand are lost.`];
  for (const { path, options, also } of settings.exports) {
    const shown = exportPath(path);
    const access = `(${options.join(',')})`;
    if (also.length > 0) lines.push(`${shown} ${also.map((address) => address + access).join(' ')}`);
    for (const { name, addresses } of input.members)
      lines.push(`${shown} ${addresses.map((address) => address + access).join(' ')} # ${name}`);
  }
  return `${lines.join('\n')}\n`;
};

/** exportfs has no dry run; what it would stumble over in our file is a directory that is not there. */
const check = ({ exports }: KernelNfsSettings): string => `[ "$VMPOOL_MODE" = apply ] || exit 0
for path in ${exports.map(({ path }) => shellQuote(path)).join(' ')}; do
  [ -d "$path" ] || { echo "$path is no directory on the file server"; exit 1; }
done`;

/** `exportfs -r` makes the kernel's table what the files say; it tells of trouble in words and not always by its code. */
const reload = ({ exportfs }: KernelNfsSettings): string => `said=$(${shellQuote(exportfs)} -ra 2>&1)
code=$?
[ "$code" = 0 ] && ! printf '%s\\n' "$said" | grep -q '^exportfs: .*\\(vmpool\\|Failed\\|error\\)' && exit 0
printf '%s\\n' "$said"; echo "exportfs -ra ended with code $code"
exit 1`;

/** Every address of our file is in the kernel's table. */
const confirm = ({ exportfs }: KernelNfsSettings, file: string): string => `file=${shellQuote(file)}
[ -f "$file" ] || exit 0
table=$(${shellQuote(exportfs)} -s) || { echo 'exportfs -s failed'; exit 1; }
sed -e '/^#/d' -e 's/ # .*$//' "$file" | tr ' ' '\\n' | sed -n 's/^\\([0-9A-Fa-f.:/]*\\)(.*$/\\1/p' | sort -u |
while read -r address; do
  printf '%s\\n' "$table" | grep -qF "  $address(" || { echo "the kernel does not export to $address"; exit 1; }
done`;

/** The file service on the kernel's NFS server. Pure. */
export const planKernelNfs = (settings: KernelNfsSettings, input: ServiceInput, id: string): HostPlan => {
  const file = `${settings.directory}/vmpool-${input.pool}.exports`;
  return {
    files: [{ path: file, text: kernelExports(settings, input, id), mode: '0644' }],
    check: settings.check ?? check(settings),
    reload: reload(settings),
    confirm: confirm(settings, file),
    rollback: null,
    hookLimitSeconds: 60,
  };
};
