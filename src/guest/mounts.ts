import { z } from 'zod';

/** Where nothing is mounted: the system's own, and what the scrub empties. */
const reserved =
  /^\/(etc|usr|bin|sbin|lib|lib32|lib64|libx32|boot|proc|sys|dev|run|tmp|root|var\/tmp|var\/run|var\/lib\/vmpool)(\/|$)/;
/** So is a directory on which the rest of the system stands. */
const systemTops = new Set(['/opt', '/var', '/var/lib']);

const userPlaceholder = '{user}';

const target = z
  .string()
  .max(1024)
  .regex(/^(\/[^/:\p{Cc}]+)+$/u, 'an absolute path')
  .refine((path) => !path.split('/').some((part) => part === '.' || part === '..'), 'no . or .. in it')
  .refine((path) => !reserved.test(path) && !systemTops.has(path), 'not a place of the system itself');

/** A file system that the site wants mounted on its VMs. */
export const mountSchema = z
  .strictObject({
    source: z
      .string()
      .min(1)
      .max(1024)
      .regex(/^[^\p{Cc}]+$/u, 'no control characters')
      .describe(
        "As for mount(8), such as `files.example.org:/scratch`. `{user}` in it is the job's user (scope `job`).",
      ),
    target: target.describe('Directory on the VM; made if missing. `{user}` as in `source`.'),
    type: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,31}$/, 'a type of file system')
      .default('nfs4')
      .describe('As for `mount -t`.'),
    options: z
      .string()
      .max(1024)
      .regex(/^[^\p{Cc}\s]*$/u, 'no blanks')
      .default('')
      .describe('As for `mount -o`; they come after `nosuid,nodev`. No secrets.'),
    scope: z
      .enum(['pool', 'job'])
      .default('pool')
      .describe(
        '`pool`: mounted before the baseline, for all jobs; `job`: for each lease, and unmounted by its scrub.',
      ),
    required: z
      .boolean()
      .default(true)
      .describe('Without it a new VM does not become Free (`pool`), or the job does not start (`job`).'),
  })
  .superRefine((mount, context) => {
    if (mount.scope === 'pool' && [mount.source, mount.target].some((text) => text.includes(userPlaceholder)))
      context.addIssue({
        code: 'custom',
        path: ['scope'],
        message: '{user} has a meaning for scope job only',
      });
  });
export type Mount = z.output<typeof mountSchema>;

/** Fields for `shared` in mounts.sh, in the order in which they are mounted: the pool's, then the job's. */
export function mountFields(mounts: readonly Mount[], user: string | null): readonly string[] {
  const fill = (text: string): string => (user === null ? text : text.replaceAll(userPlaceholder, user));
  const inOrder = [
    ...mounts.filter(({ scope }) => scope === 'pool'),
    ...(user === null ? [] : mounts.filter(({ scope }) => scope === 'job')),
  ];
  return inOrder.flatMap((mount) => [
    mount.type,
    fill(mount.source),
    fill(mount.target),
    mount.options,
    mount.required ? '1' : '0',
  ]);
}
