import { contextOf, projectOf, tokenOf } from '../http/context.js';
import type { Caller, Compute } from './compute.js';
import { MIN_MICROVERSION } from './microversion.js';
import type { Server } from './model.js';

/** What every route of Nova needs. */
export interface ComputeRouting {
  readonly compute: Compute;
  readonly origin: () => string;
  readonly requestIdOf: (request: object) => string;
}

export function versionOf(request: object): number {
  return contextOf(request).microversion ?? MIN_MICROVERSION;
}

export function callerOf(routing: ComputeRouting, request: object): Caller {
  return {
    userId: tokenOf(request).user.id,
    projectId: projectOf(request),
    requestId: routing.requestIdOf(request),
  };
}

export function isAdmin(request: object): boolean {
  return tokenOf(request).roles.some((role) => role.name === 'admin');
}

/** The server of this id if the caller may see it. */
export function serverOf(routing: ComputeRouting, request: object, id: string): Server {
  return routing.compute.server(id, isAdmin(request) ? undefined : projectOf(request));
}
