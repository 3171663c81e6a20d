import { z } from 'zod';

/** What of a JSON schema a client relies on. */
interface Schema {
  readonly $ref?: string | undefined;
  readonly type?: string | readonly string[] | undefined;
  readonly enum?: readonly unknown[] | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly required?: readonly string[] | undefined;
  readonly items?: Schema | undefined;
  readonly additionalProperties?: Schema | boolean | undefined;
  readonly anyOf?: readonly Schema[] | undefined;
  readonly oneOf?: readonly Schema[] | undefined;
  readonly allOf?: readonly Schema[] | undefined;
}
const schema: z.ZodType<Schema> = z.object({
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  enum: z.array(z.unknown()).optional(),
  get properties() {
    return z.record(z.string(), schema).optional();
  },
  required: z.array(z.string()).optional(),
  get items() {
    return schema.optional();
  },
  get additionalProperties() {
    return z.union([schema, z.boolean()]).optional();
  },
  get anyOf() {
    return z.array(schema).optional();
  },
  get oneOf() {
    return z.array(schema).optional();
  },
  get allOf() {
    return z.array(schema).optional();
  },
});
const content = z.record(z.string(), z.object({ schema: schema.optional() })).optional();
const operation = z.object({
  parameters: z
    .array(
      z.object({
        in: z.string(),
        name: z.string(),
        required: z.boolean().optional(),
        schema: schema.optional(),
      }),
    )
    .default([]),
  requestBody: z.object({ content }).optional(),
  responses: z.record(z.string(), z.object({ content })),
});
const described = z.object({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.object({ schemas: z.record(z.string(), schema) }),
});

const kindsOf = (at: Schema): string => {
  const ways = [...(at.anyOf ?? []), ...(at.oneOf ?? [])];
  if (ways.length > 0) return [...new Set(ways.map(kindsOf))].sort().join(' or ');
  if (at.$ref !== undefined) return 'object';
  if (at.type !== undefined) return [at.type].flat().sort().join(' or ');
  return at.properties === undefined ? 'anything' : 'object';
};

/**
 * All that a client may rely on in an OpenAPI document, one fact a line: what a call takes and need not be given, what an
 * answer has and always has. A later version keeps every one of them, and asks for nothing (`needs`) that was not asked for.
 */
export function factsOf(document: unknown): readonly string[] {
  const { paths, components } = described.parse(document);
  const facts = new Set<string>();
  const look = (name: string, at: Schema, asks: boolean, within: readonly string[]): void => {
    facts.add(`${name}: ${kindsOf(at)}`);
    // What an answer says may be one more word in a later version; what a call takes stays.
    if (asks) for (const value of at.enum ?? []) facts.add(`${name} takes ${JSON.stringify(value)}`);
    const ref = at.$ref?.split('/').at(-1);
    const target = ref === undefined ? undefined : components.schemas[ref];
    if (ref !== undefined && target !== undefined && !within.includes(ref))
      look(name, target, asks, [...within, ref]);
    for (const [key, field] of Object.entries(at.properties ?? {})) {
      const always = at.required?.includes(key) === true;
      if (asks) facts.add(always ? `${name}.${key} needs a value` : `${name}.${key} may be left out`);
      else if (always) facts.add(`${name}.${key} is always there`);
      look(`${name}.${key}`, field, asks, within);
    }
    if (at.items !== undefined) look(`${name}[]`, at.items, asks, within);
    if (typeof at.additionalProperties === 'object') look(`${name}.*`, at.additionalProperties, asks, within);
    for (const way of [...(at.anyOf ?? []), ...(at.oneOf ?? []), ...(at.allOf ?? [])])
      look(name, way, asks, within);
  };
  for (const [path, methods] of Object.entries(paths))
    for (const [method, { parameters, requestBody, responses }] of Object.entries(methods)) {
      const call = `${method.toUpperCase()} ${path}`;
      facts.add(call);
      for (const at of parameters) {
        const name = `${call} ${at.in} ${at.name}`;
        facts.add(at.required === true ? `${name} needs a value` : `${name} may be left out`);
        look(name, at.schema ?? {}, true, []);
      }
      for (const { schema: body } of Object.values(requestBody?.content ?? {}))
        look(`${call} body`, body ?? {}, true, []);
      for (const [status, answer] of Object.entries(responses))
        for (const { schema: body } of Object.values(answer.content ?? {}))
          // Refusals are all of one kind.
          if (Number(status) >= 400) look('any refusal', body ?? {}, false, []);
          else look(`${call} ${status}`, body ?? {}, false, []);
    }
  return [...facts].sort();
}

/** What a client of `before` would miss or be refused for; empty when all that was promised is kept. */
export function brokenBy(before: readonly string[], now: readonly string[]): readonly string[] {
  const [had, has] = [new Set(before), new Set(now)];
  const calls = before.filter(
    (fact) => !fact.includes(':') && !/ (needs|may be|is always|takes) /.test(fact),
  );
  return [
    ...before.filter((fact) => !has.has(fact)).map((fact) => `no longer so: ${fact}`),
    ...now
      .filter((fact) => / needs a value$/.test(fact) && !had.has(fact))
      // A new call may ask for what it likes.
      .filter((fact) => calls.some((call) => fact.startsWith(`${call} `)))
      .map((fact) => `asked for now: ${fact}`),
  ];
}
