import type { Caller, Compute } from './compute.js';
import type { BootVolume } from './create-request.js';
import type { Server } from './model.js';

/** What makes Nova give a server up, in its own words. */
export class VolumeNotMade extends Error {}

/**
 * Makes the volume that a server boots from, or takes one that is there. Nova does this in the middle of the build:
 * what Cinder refuses becomes the server's fault. Throws `VolumeNotMade` or Cinder's own `ApiError`.
 */
export function attachBootVolume(compute: Compute, server: Server, wanted: BootVolume, caller: Caller): void {
  const { volumes, faults } = compute.parts;
  const keep = wanted.deleteOnTermination;
  if (wanted.from === 'volume') {
    volumes.attach(volumes.volume(wanted.volumeId, caller.projectId), server.id, keep);
    return;
  }
  const volume = volumes.create({
    // Nova gives it no name.
    name: '',
    projectId: caller.projectId,
    userId: caller.userId,
    sizeGiB: wanted.sizeGiB,
    zone: server.availabilityZone,
    imageId: wanted.imageId,
  });
  const broken = faults.strikeServer('volume-error', server.name) !== undefined;
  volumes.attach(volume, server.id, keep);
  if (!broken) return;
  volumes.change(volume, 'error');
  throw new VolumeNotMade(
    `Volume ${volume.id} did not finish being created even after we waited 3 seconds or 2 attempts. And its status is error.`,
  );
}

/** The image behind a server: its own, or the one that its volume was made of. */
export function imageOf(compute: Compute, server: Server): string | null {
  return server.imageId ?? compute.parts.volumes.attachedTo(server.id)[0]?.imageId ?? null;
}
