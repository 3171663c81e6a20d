import type { MemberName, ServerId } from '../pool/model.js';
import { memberOfResource } from '../../stacks/cell-plan.js';
import {
  instanceType,
  nameOfUrn,
  serverGroupType,
  type Deployment,
  type StateResource,
} from './deployment.js';
import type { CellState } from './port.js';

/** What an `up` needs to know of the wish for a cell. */
export interface ListedAndRetiring {
  readonly members: readonly MemberName[];
  readonly retire: readonly MemberName[];
  /** Resource names of the server groups that the plan holds. */
  readonly serverGroups: readonly string[];
}

export interface Prepared {
  readonly deployment: Deployment;
  /** The state must be written back before the `up`. */
  readonly changed: boolean;
  /** Creates found pending: the engine was killed in the middle of them. */
  readonly lost: readonly MemberName[];
  /** Resources that neither list names; an `up` must not look at them. */
  readonly unlistedUrns: readonly string[];
}

const providerTypePrefix = 'pulumi:';

/**
 * Makes a cell's state fit for an `up`. Pure. Four things, all of which the engine itself can only do by
 * further updates or not at all:
 * - pending operations go: creates are reported as lost, the others are simply tried again;
 * - protection says exactly what the book says: retiring members are free to go, everything else is protected,
 *   also what somebody unprotected by hand;
 * - a listed server whose create was reported as failed (timed out, ended in ERROR, deleted through Nova) counts
 *   as made: Pulumi would *update* it, and the pool never updates a server. It ends by being retired;
 * - what no list names is found.
 */
export const prepareState = (deployment: Deployment, wish: ListedAndRetiring): Prepared => {
  const listed = new Set<string>(wish.members);
  const retiring = new Set<string>(wish.retire);
  const groups = new Set(wish.serverGroups);
  const pending = deployment.pending_operations ?? [];
  const lost = pending
    .filter((operation) => operation.type === 'creating' && operation.resource.type === instanceType)
    .map((operation) => nameOfUrn(operation.resource.urn) as MemberName);

  let changed = pending.length > 0;
  const unlistedUrns: string[] = [];
  const resources = (deployment.resources ?? []).map((resource): StateResource => {
    if (resource.type.startsWith(providerTypePrefix)) {
      return resource;
    }
    const member = memberOfResource(nameOfUrn(resource.urn));
    const known =
      member === null ? resource.type === serverGroupType : listed.has(member) || retiring.has(member);
    if (!known) {
      unlistedUrns.push(resource.urn);
    }
    const mayGo =
      member === null
        ? known && !groups.has(nameOfUrn(resource.urn))
        : retiring.has(member) && !listed.has(member);
    const failed = (resource.initErrors ?? []).length > 0;
    if ((resource.protect === true) === !mayGo && !failed) {
      return resource;
    }
    changed = true;
    const { initErrors: _initErrors, ...whole } = resource;
    return { ...whole, protect: !mayGo };
  });
  // A group stays while an unlisted server may still be in it.
  const kept =
    unlistedUrns.length === 0
      ? resources
      : resources.map((resource) =>
          resource.type === serverGroupType ? { ...resource, protect: true } : resource,
        );
  if (unlistedUrns.length > 0) {
    for (const { type, urn } of resources) {
      if (type === serverGroupType && !groups.has(nameOfUrn(urn))) {
        unlistedUrns.push(urn);
      }
    }
  }
  const { pending_operations: _pending, ...rest } = deployment;
  return { deployment: changed ? { ...rest, resources: kept } : deployment, changed, lost, unlistedUrns };
};

/** What the state says after an `up`. A create that is pending now was lost as well. */
export const cellStateOf = (
  deployment: Deployment,
  wish: Pick<ListedAndRetiring, 'members' | 'retire'>,
  lostBefore: readonly MemberName[],
): CellState => {
  const listed = new Set<string>([...wish.members, ...wish.retire]);
  const instances = (deployment.resources ?? [])
    .filter(({ type, id }) => type === instanceType && id !== undefined && id !== '')
    .map(({ urn, id }) => ({ member: nameOfUrn(urn) as MemberName, serverId: id as ServerId }));
  const inState = new Set(instances.map(({ member }) => member));
  const pending = (deployment.pending_operations ?? [])
    .filter(({ type, resource }) => type === 'creating' && resource.type === instanceType)
    .map(({ resource }) => nameOfUrn(resource.urn) as MemberName);
  return {
    instances,
    lostCreates: [...new Set([...lostBefore, ...pending])].filter((name) => !inState.has(name)),
    unlisted: [...inState].filter((member) => !listed.has(member)),
  };
};
