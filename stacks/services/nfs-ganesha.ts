import { z } from 'zod';
import { commonSettings, plainPath, siteCommand } from './host.js';
import type { HostPlan, ServiceInput } from './plan.js';
import { ganeshaCheck, ganeshaReload } from './nfs-ganesha-hooks.js';
import { shellQuote } from './shell.js';

/** Words and numbers of Ganesha's own configuration language that need no quotes. */
const plainValue = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.,: /-]{0,255}$/, 'is no plain value');

/** What we write ourselves; Ganesha reads names without regard to case. */
const ours = new Set(
  ['Export_Id', 'Path', 'Pseudo', 'Squash', 'Access_Type', 'CLIENT', 'FSAL', 'Name'].map((key) =>
    key.toLowerCase(),
  ),
);
const parameters = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/)
      .refine((key) => !ours.has(key.toLowerCase()), 'is set by VM Pool'),
    plainValue,
  )
  .default({});

const clientAddress = z.string().regex(/^[0-9A-Fa-f.:]{2,45}(\/\d{1,3})?$/, 'is no address or network');

const exportSchema = z.strictObject({
  /** Ganesha's number of the export, unique on that server. Another directory wants another number. */
  id: z.int().min(1).max(65_535),
  path: plainPath,
  /** Where clients mount it. */
  pseudo: plainPath,
  access: z.enum(['RW', 'RO']).default('RW'),
  squash: z.enum(['Root_Squash', 'No_Root_Squash', 'All_Squash']).default('Root_Squash'),
  fsal: z
    .string()
    .regex(/^[A-Za-z0-9_]{1,32}$/)
    .default('VFS'),
  /** Further parameters of the EXPORT block and of its FSAL block, as ganesha-export-config(8) names them. */
  parameters,
  fsalParameters: parameters,
  /** May mount it besides the members: a login node, a backup. */
  also: z.array(clientAddress).default([]),
});

/** Settings of the service kind `nfs-ganesha`. */
export const ganeshaSettings = z
  .strictObject({
    type: z.literal('nfs-ganesha'),
    ...commonSettings,
    /** Our file; `mainConfig` must include it. */
    file: plainPath.default('/etc/ganesha/vmpool.conf'),
    mainConfig: plainPath.default('/etc/ganesha/ganesha.conf'),
    /** For a daemon on another bus than the system's. */
    busAddress: z
      .string()
      .regex(/^[a-z]+:[A-Za-z0-9_=./,-]+$/, 'is no D-Bus address')
      .optional(),
    exports: z.array(exportSchema).min(1),
    /** Instead of ours. */
    check: siteCommand.optional(),
    reload: siteCommand.optional(),
    hookLimitSeconds: z.int().min(5).max(600).default(60),
  })
  .superRefine(({ exports }, context) => {
    for (const key of ['id', 'pseudo'] as const) {
      exports.forEach((one, index) => {
        if (exports.findIndex((other) => other[key] === one[key]) !== index)
          context.addIssue({
            code: 'custom',
            path: ['exports', index, key],
            message: `another export has the ${key} ${String(one[key])}`,
          });
      });
    }
  });
export type GaneshaSettings = z.infer<typeof ganeshaSettings>;

const line = (key: string, value: string | number): string => `  ${key} = ${value};`;

const client = (addresses: readonly string[], access: string, comment: string): string =>
  `  CLIENT { Clients = ${addresses.join(', ')}; Access_Type = ${access}; } # ${comment}`;

/** Ganesha's EXPORT blocks: nobody but the members, by the addresses that they have. Pure. */
export const ganeshaExports = (settings: GaneshaSettings, input: ServiceInput, id: string): string => {
  const blocks = settings.exports.map((one) =>
    [
      'EXPORT {',
      line('Export_Id', one.id),
      line('Path', `"${one.path}"`),
      line('Pseudo', `"${one.pseudo}"`),
      line('Protocols', one.parameters.Protocols ?? '4'),
      line('SecType', one.parameters.SecType ?? 'sys'),
      line('Squash', one.squash),
      // What is in no CLIENT block gets nothing.
      line('Access_Type', 'None'),
      ...Object.entries(one.parameters)
        .filter(([key]) => key !== 'Protocols' && key !== 'SecType')
        .map(([key, value]) => line(key, value)),
      '  FSAL {',
      `  ${line('Name', one.fsal)}`,
      ...Object.entries(one.fsalParameters).map(([key, value]) => `  ${line(key, value)}`),
      '  }',
      ...(one.also.length === 0 ? [] : [client(one.also, one.access, 'always')]),
      ...input.members.map(({ name, addresses }) => client(addresses, one.access, name)),
      '}',
    ].join('\n'),
  );
  return `${[`# vmpool:${id} writes this file; changes by hand are lost.`, ...blocks].join('\n')}\n`;
};

/** The file service on NFS-Ganesha. Pure. */
export const planGanesha = (settings: GaneshaSettings, input: ServiceInput, id: string): HostPlan => ({
  files: [{ path: settings.file, text: ganeshaExports(settings, input, id), mode: '0644' }],
  check: settings.check ?? variables(settings) + ganeshaCheck,
  reload: settings.reload ?? variables(settings) + ganeshaReload,
  // The reload asks Ganesha by export and is answered yes or no.
  confirm: null,
  rollback: null,
  hookLimitSeconds: settings.hookLimitSeconds,
});

const variables = (settings: GaneshaSettings): string =>
  [
    `file=${shellQuote(settings.file)}`,
    `main=${shellQuote(settings.mainConfig)}`,
    ...(settings.busAddress === undefined
      ? []
      : [`export DBUS_SYSTEM_BUS_ADDRESS=${shellQuote(settings.busAddress)}`]),
    '',
  ].join('\n');
