import { z } from 'zod';
import { projectName } from './options.js';

const resourceSchema = z.looseObject({
  urn: z.string(),
  type: z.string(),
  id: z.string().optional(),
  outputs: z.record(z.string(), z.unknown()).optional(),
  protect: z.boolean().optional(),
  initErrors: z.array(z.string()).nullish(),
});
export type StateResource = z.infer<typeof resourceSchema>;

/** A stack's state as Pulumi keeps it; what is not named here is carried along untouched. */
const deploymentSchema = z.looseObject({
  manifest: z.looseObject({ time: z.string().optional() }).nullish(),
  resources: z.array(resourceSchema).nullish(),
  pending_operations: z
    .array(z.looseObject({ type: z.string(), resource: z.looseObject({ urn: z.string(), type: z.string() }) }))
    .nullish(),
});
export type Deployment = z.infer<typeof deploymentSchema>;

const exportSchema = z.looseObject({ version: z.number(), deployment: deploymentSchema.nullish() });
const checkpointFileSchema = z.looseObject({
  version: z.number(),
  checkpoint: z.looseObject({ latest: deploymentSchema.nullish() }),
});

/** A state with its format's version, as `pulumi stack import` takes it. */
export interface VersionedDeployment {
  readonly version: number;
  readonly deployment: Deployment;
}

export type ParsedState =
  | { readonly ok: true; readonly state: VersionedDeployment }
  /** `torn`: it is not even JSON, so no Pulumi can have meant it; anything else may be of one that this does not know. */
  | { readonly ok: false; readonly why: string; readonly torn: boolean };

/** Parses the output of `pulumi stack export`. */
export const parseExport = (text: string): ParsedState =>
  parseText(text, (value) => {
    const { version, deployment } = exportSchema.parse(value);
    return { version, deployment: deployment ?? {} };
  });

/** Parses a stack's file in a `file://` backend. */
export const parseCheckpointFile = (text: string): ParsedState =>
  parseText(text, (value) => {
    const { version, checkpoint } = checkpointFileSchema.parse(value);
    return { version, deployment: checkpoint.latest ?? {} };
  });

/** The file of a stack that was never brought up. */
export const emptyCheckpoint = (stack: string): z.infer<typeof checkpointFileSchema> => ({
  version: 3,
  checkpoint: { stack: `organization/${projectName}/${stack}` },
});

const parseText = (text: string, read: (value: unknown) => VersionedDeployment): ParsedState => {
  try {
    return { ok: true, state: read(JSON.parse(text)) };
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : String(error);
    return { ok: false, why, torn: error instanceof SyntaxError };
  }
};

const stackType = 'pulumi:pulumi:Stack';
export const instanceType = 'openstack:compute/instance:Instance';
export const floatingIpType = 'openstack:networking/floatingIp:FloatingIp';
export const associationType = 'openstack:networking/floatingIpAssociate:FloatingIpAssociate';
export const serverGroupType = 'openstack:compute/serverGroup:ServerGroup';

/** Last part of a URN: the resource's name in the program. */
export const nameOfUrn = (urn: string): string => urn.slice(urn.lastIndexOf('::') + 2);

/** Type of a URN's resource, without those of its parents. */
export const typeOfUrn = (urn: string): string => {
  const types = urn.split('::')[2] ?? '';
  return types.slice(types.lastIndexOf('$') + 1);
};

/** The stack's outputs; null when it has never been brought up. */
export const outputsOf = (deployment: Deployment): Readonly<Record<string, unknown>> | null =>
  (deployment.resources ?? []).find((resource) => resource.type === stackType)?.outputs ?? null;
