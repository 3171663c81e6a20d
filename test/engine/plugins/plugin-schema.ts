/** The schema that a built plugin answers to GetSchema, asked for through the engine's own command line. */
import { execFileSync } from 'node:child_process';

import { z } from 'zod';

import { engineEnvironment } from './engine.js';
import { array, map, object, scalar, type Fields, type Shape } from './shapes.js';

const typeSpec = z.object({
  type: z.string().optional(),
  $ref: z.string().optional(),
  get items() {
    return typeSpec.optional();
  },
  get additionalProperties() {
    return typeSpec.optional();
  },
  secret: z.boolean().optional(),
});
type TypeSpec = z.infer<typeof typeSpec>;

const propertyList = z.object({
  properties: z.record(z.string(), typeSpec).default({}),
  required: z.array(z.string()).default([]),
});

const packageSpec = z.object({
  name: z.string(),
  version: z.string(),
  types: z.record(z.string(), propertyList.extend({ type: z.string().optional(), enum: z.unknown().optional() })).default({}),
  provider: z.object({ inputProperties: z.record(z.string(), typeSpec).default({}) }).default({ inputProperties: {} }),
  resources: z.record(
    z.string(),
    propertyList.extend({
      inputProperties: z.record(z.string(), typeSpec).default({}),
      requiredInputs: z.array(z.string()).default([]),
    }),
  ),
  functions: z
    .record(z.string(), z.object({ inputs: propertyList.optional(), outputs: propertyList.optional() }))
    .default({}),
});
type PackageSpec = z.infer<typeof packageSpec>;

/** A resource or function as the plugin's schema describes it. */
export interface Served {
  readonly inputs: Fields;
  readonly outputs: Fields;
  /** Names of the outputs that are always secret. */
  readonly secrets: readonly string[];
}

export interface ServedPackage {
  readonly version: string;
  readonly resources: ReadonlyMap<string, Served>;
  readonly functions: ReadonlyMap<string, Served>;
  readonly provider: Fields;
}

/** Asks the plugin (such as "openstack@3.15.2") for its schema. */
export function readPluginSchema(plugin: string): ServedPackage {
  const { pulumi, env } = engineEnvironment();
  const text = execFileSync(pulumi, ['package', 'get-schema', plugin], {
    env,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 60_000,
  });
  const spec = packageSpec.parse(JSON.parse(text));
  const fields = (properties: Record<string, TypeSpec>, required: readonly string[]): Fields =>
    new Map(
      Object.entries(properties).map(([name, type]) => [
        name,
        { required: required.includes(name), shape: shapeOf(type, spec) },
      ]),
    );
  const resources = Object.entries(spec.resources).map(([token, resource]): [string, Served] => [
    token,
    {
      inputs: fields(resource.inputProperties, resource.requiredInputs),
      outputs: fields(resource.properties, resource.required),
      secrets: Object.keys(resource.properties).filter((name) => resource.properties[name]?.secret === true),
    },
  ]);
  const functions = Object.entries(spec.functions).map(([token, { inputs, outputs }]): [string, Served] => [
    token,
    {
      inputs: fields(inputs?.properties ?? {}, inputs?.required ?? []),
      outputs: fields(outputs?.properties ?? {}, outputs?.required ?? []),
      secrets: [],
    },
  ]);
  return {
    version: spec.version,
    resources: new Map(resources),
    functions: new Map(functions),
    provider: fields(spec.provider.inputProperties, []),
  };
}

function shapeOf(type: TypeSpec, spec: PackageSpec): Shape {
  if (type.$ref !== undefined) return referenced(type.$ref, spec);
  switch (type.type) {
    case 'string':
    case 'boolean':
    case 'number':
      return scalar(type.type);
    case 'integer':
      return scalar('number');
    case 'array':
      return array(type.items === undefined ? scalar('any') : shapeOf(type.items, spec));
    case 'object':
      // A map without a type of its values holds strings: so says the schema's definition.
      return map(type.additionalProperties === undefined ? scalar('string') : shapeOf(type.additionalProperties, spec));
    default:
      throw new Error(`the schema has a property of the type ${JSON.stringify(type)}`);
  }
}

function referenced(ref: string, spec: PackageSpec): Shape {
  switch (ref) {
    case 'pulumi.json#/Asset':
      return scalar('asset');
    case 'pulumi.json#/Archive':
      return scalar('archive');
    case 'pulumi.json#/Any':
      return scalar('any');
    default: {
      const found = spec.types[decodeURIComponent(ref.replace('#/types/', ''))];
      if (found === undefined) throw new Error(`the schema refers to ${ref}, which it does not hold`);
      if (found.enum !== undefined) return scalar('string');
      return object(
        new Map(
          Object.entries(found.properties).map(([name, type]) => [
            name,
            { required: found.required.includes(name), shape: shapeOf(type, spec) },
          ]),
        ),
      );
    }
  }
}
