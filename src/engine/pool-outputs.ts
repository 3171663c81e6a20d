import { z } from 'zod';
import type { Shape } from '../pool/model.js';
import { servicesSchema, type Services } from '../../stacks/services/registry.js';
import { generationOf, shapeSchema } from '../../stacks/shape.js';

/**
 * Reads what `Engine.poolOutputs` found. A generation that is not the spec's own hash is refused: it would
 * roll the whole pool at the next correct publication.
 */
export const parsePoolOutputs = (
  outputs: unknown,
):
  | {
      readonly ok: true;
      readonly shape: Shape;
      /** Null when the stack says nothing of services: it was brought up by a program that knows none. */
      readonly services: Services | null;
    }
  | { readonly ok: false; readonly why: string } => {
  if (outputs === null || outputs === undefined) {
    return {
      ok: false,
      why: "the pool stack has never been brought up: run `vmpool apply` with its file, or `pulumi up` on it from the repository's root",
    };
  }
  const found = z.object({ shape: shapeSchema, services: servicesSchema.nullable().default(null) }).safeParse(outputs);
  if (!found.success) {
    return {
      ok: false,
      why: `the pool stack's outputs are not those of this version's program (run \`pulumi up\` on it): ${z
        .prettifyError(found.error)
        .replaceAll('\n', ' ')}`,
    };
  }
  const { shape, services } = found.data;
  const expected = generationOf(shape.spec);
  if (shape.generation !== expected) {
    return {
      ok: false,
      why: `the pool stack says generation ${shape.generation}, its spec hashes to ${expected}: run \`pulumi up\` on it with this version's program`,
    };
  }
  return { ok: true, shape, services };
};
