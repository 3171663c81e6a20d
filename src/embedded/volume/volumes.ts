import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.js';
import { ApiError, badRequest, notFound } from '../http/errors.js';
import type { Quotas } from '../options.js';

export type VolumeStatus = 'creating' | 'available' | 'in-use' | 'deleting' | 'error';

export interface Attachment {
  readonly id: string;
  readonly serverId: string;
  readonly device: string;
  readonly attachedAt: number;
  /** Goes with its server. */
  readonly deleteOnTermination: boolean;
}

export interface Volume {
  readonly id: string;
  name: string;
  description: string | null;
  readonly projectId: string;
  readonly userId: string;
  readonly sizeGiB: number;
  readonly zone: string;
  /** The image that it was made of; null for an empty one, which nothing boots from. */
  readonly imageId: string | null;
  metadata: Record<string, string>;
  status: VolumeStatus;
  readonly createdAt: number;
  updatedAt: number;
  attachment: Attachment | null;
}

export interface VolumeRequest {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly projectId: string;
  readonly userId: string;
  readonly sizeGiB: number;
  readonly zone: string;
  readonly imageId: string | null;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Cinder's state: what exists, and the rules of making, attaching and deleting it. */
export class Volumes {
  readonly all = new Map<string, Volume>();

  constructor(
    readonly clock: Clock,
    readonly quotasOf: (projectId: string) => Quotas,
  ) {}

  of(projectId: string): Volume[] {
    return [...this.all.values()].filter((volume) => volume.projectId === projectId);
  }

  volume(id: string, projectId: string): Volume {
    const volume = this.all.get(id);
    if (volume?.projectId !== projectId) throw notFound(`Volume ${id} could not be found.`);
    return volume;
  }

  used(projectId: string): { readonly volumes: number; readonly gigabytes: number } {
    const own = this.of(projectId);
    return { volumes: own.length, gigabytes: own.reduce((sum, volume) => sum + volume.sizeGiB, 0) };
  }

  /** A volume in `creating`. Throws in Cinder's words when the project's quota is used up. */
  create(request: VolumeRequest): Volume {
    const { projectId, sizeGiB } = request;
    if (sizeGiB < 1) throw badRequest(`Invalid volume size provided for create request: ${sizeGiB}.`);
    const limits = this.quotasOf(projectId);
    const used = this.used(projectId);
    if (limits.volumes >= 0 && used.volumes + 1 > limits.volumes)
      throw new ApiError(
        413,
        `VolumeLimitExceeded: Maximum number of volumes allowed (${limits.volumes}) exceeded for quota 'volumes'.`,
        'OverQuota',
        { 'Retry-After': '0' },
      );
    if (limits.gigabytes >= 0 && used.gigabytes + sizeGiB > limits.gigabytes)
      throw new ApiError(
        413,
        `VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested ${sizeGiB}G, quota is ${limits.gigabytes}G and ${used.gigabytes}G has been consumed.`,
        'OverQuota',
        { 'Retry-After': '0' },
      );
    const now = this.clock.now();
    const volume: Volume = {
      id: randomUUID(),
      name: request.name,
      description: request.description ?? null,
      projectId,
      userId: request.userId,
      sizeGiB,
      zone: request.zone,
      imageId: request.imageId,
      metadata: { ...request.metadata },
      status: 'creating',
      createdAt: now,
      updatedAt: now,
      attachment: null,
    };
    this.all.set(volume.id, volume);
    return volume;
  }

  change(volume: Volume, status: VolumeStatus): void {
    volume.status = status;
    volume.updatedAt = this.clock.now();
  }

  attach(volume: Volume, serverId: string, deleteOnTermination: boolean): void {
    volume.attachment = {
      id: randomUUID(),
      serverId,
      device: '/dev/vda',
      attachedAt: this.clock.now(),
      deleteOnTermination,
    };
    this.change(volume, 'in-use');
  }

  attachedTo(serverId: string): Volume[] {
    return [...this.all.values()].filter((volume) => volume.attachment?.serverId === serverId);
  }

  /** What becomes of a server's volumes at its end: deleted with it, or free again. */
  release(serverId: string): void {
    for (const volume of this.attachedTo(serverId)) {
      if (volume.attachment?.deleteOnTermination === true) this.all.delete(volume.id);
      else {
        volume.attachment = null;
        this.change(volume, 'available');
      }
    }
  }

  delete(volume: Volume): void {
    if (volume.attachment !== null || !['available', 'error'].includes(volume.status))
      throw badRequest(
        'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.',
      );
    this.all.delete(volume.id);
  }
}
