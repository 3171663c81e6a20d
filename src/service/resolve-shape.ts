import { pinnedGeneration } from '../../stacks/shape.js';
import type { Cloud, Lookup } from '../cloud/port.js';
import type { PinnedIds, Shape } from '../pool/model.js';

const mebibyte = 1024 ** 2;

/** A shape whose names were found in the cloud, or everything that speaks against it, in plain words. `memory` in bytes. */
export type ResolvedShape =
  | { readonly ok: true; readonly shape: Shape; readonly processors: number; readonly memory: number }
  | { readonly ok: false; readonly why: string };

/**
 * Finds what the shape's names stand for now and pins it. A name that has become ambiguous or is gone is refused, and
 * the pool goes on with what it adopted before; a name that stands for another id is another generation.
 * Throws `CloudError` when the cloud does not answer.
 */
export async function resolveShape(cloud: Cloud, shape: Shape, signal: AbortSignal): Promise<ResolvedShape> {
  const { spec } = shape;
  const objections: string[] = [];
  const found = <T>(lookup: Lookup<T>): T | null => {
    if (lookup.found) return lookup.value;
    objections.push(lookup.why);
    return null;
  };
  const flavor = found(await cloud.flavor(spec.flavor, signal));
  const image = found(await cloud.image(spec.image, signal));
  if (image !== null && image.status !== 'active') {
    objections.push(
      `the image "${image.name}" (${image.id}) is ${image.status}, so no VM can boot from it: activate it, or name another in vmpool:image`,
    );
  }
  const networks: { id: string; name: string }[] = [];
  for (const name of spec.networks) {
    const network = found(await cloud.network(name, signal));
    if (network !== null) networks.push({ id: network.id, name: network.name });
  }
  const tags = await cloud.tagsAtCreate(signal);
  if (flavor === null || image === null || objections.length > 0)
    return { ok: false, why: objections.join('; ') };
  const pinned: PinnedIds = { flavor: flavor.id, image: image.id, networks, tags };
  const generation = pinnedGeneration(shape.generation, pinned);
  return {
    ok: true,
    shape: { ...shape, spec: { ...spec, pinned }, generation },
    processors: flavor.vcpus,
    memory: flavor.ramMiB * mebibyte,
  };
}
