import type { MemberName, ServerId } from '../pool/model.js';
import { memberOfResource } from '../../stacks/cell-plan.js';
import {
  associationType,
  floatingIpType,
  instanceType,
  nameOfUrn,
  serverGroupType,
  type Deployment,
  type StateResource,
} from './deployment.js';
import type { CellMember, CellState, CellWish } from './port.js';

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
  /** Resources that neither list names; an `up` must not look at them. */
  readonly unlistedUrns: readonly string[];
}

const providerTypePrefix = 'pulumi:';

/** Of these a second create makes a second one. An association set twice is the same association. */
const madeAnew: ReadonlySet<string> = new Set([instanceType, floatingIpType]);

/**
 * Members with a create pending in the state: the engine was killed in the middle of it, and what the cloud
 * made of it is in no state. It is never begun again under their name.
 */
export const lostIn = (deployment: Deployment): readonly MemberName[] => {
  const members = (deployment.pending_operations ?? [])
    .filter(({ type, resource }) => type === 'creating' && madeAnew.has(resource.type))
    .map(({ resource }) => memberOfResource(nameOfUrn(resource.urn)));
  return [...new Set(members.filter((member) => member !== null))];
};

/**
 * Members whose server the book knows and of which the state holds nothing: the state is older than the book, or was
 * lost. Their server is there, or was; a create would make a second one under their name.
 */
export const unknownToState = (
  members: readonly Pick<CellMember, 'name' | 'made'>[],
  deployment: Deployment,
): readonly MemberName[] => {
  const instances = instancesIn(deployment);
  return members.flatMap(({ name, made }) => (made && !instances.has(name) ? [name] : []));
};

/**
 * Members of which an earlier state, put back in place of a torn one, holds nothing: each may have been made by the
 * update that it does not know of. One that was never begun is given up as well, and another is made in its place.
 */
export const unsureAfter = (wish: CellWish, earlier: Deployment): readonly MemberName[] => {
  const instances = instancesIn(earlier);
  return [...wish.members.map(({ name }) => name), ...wish.retire].filter((name) => !instances.has(name));
};

/** Members whose instance is in the state. */
export const instancesIn = (deployment: Deployment): ReadonlySet<MemberName> =>
  membersOfTypes(deployment, new Set([instanceType]));

/** Members of which the state holds anything at all. */
export const membersIn = (deployment: Deployment): ReadonlySet<MemberName> =>
  membersOfTypes(deployment, new Set([instanceType, floatingIpType, associationType]));

const membersOfTypes = (deployment: Deployment, types: ReadonlySet<string>): ReadonlySet<MemberName> =>
  new Set(
    (deployment.resources ?? [])
      .filter(({ type }) => types.has(type))
      .flatMap(({ urn }) => memberOfResource(nameOfUrn(urn)) ?? []),
  );

/**
 * The members that the program is to have. One whose create was lost is left out; one whose server is known and
 * only its floating IP was lost stays, without one: a second would be allocated, and the first stays unknown.
 */
export const membersToRun = <M extends Pick<CellMember, 'name' | 'spec'>>(
  members: readonly M[],
  lost: readonly MemberName[],
  deployment: Deployment,
): readonly M[] => {
  const instances = instancesIn(deployment);
  const floating = membersOfTypes(deployment, new Set([floatingIpType]));
  return members.flatMap((member) => {
    if (!lost.includes(member.name)) {
      return [member];
    }
    if (!instances.has(member.name)) {
      return [];
    }
    return floating.has(member.name) ? [member] : [{ ...member, spec: { ...member.spec, floatingIpPool: null } }];
  });
};

/**
 * Makes a cell's state fit for an `up`. Pure. What the engine itself can only do by further updates or not at
 * all:
 * - pending operations go: what was being created is in `lost`, the others are simply tried again;
 * - the floating IP of a member whose server was lost is free to go: it was never associated (that comes after
 *   the server is in the state), and nobody else would ever release it;
 * - protection says exactly what the book says: retiring members are free to go, everything else is protected,
 *   also what somebody unprotected by hand;
 * - a listed server whose create was reported as failed (timed out, ended in ERROR, deleted through Nova) counts
 *   as made: Pulumi would *update* it, and the pool never updates a server. It ends by being retired;
 * - what no list names is found.
 */
export const prepareState = (
  deployment: Deployment,
  wish: ListedAndRetiring,
  lost: readonly MemberName[],
): Prepared => {
  const listed = new Set<string>(wish.members);
  const retiring = new Set<string>(wish.retire);
  const groups = new Set(wish.serverGroups);
  const pending = deployment.pending_operations ?? [];
  const inUse = membersOfTypes(deployment, new Set([instanceType, associationType]));
  const leftOver = new Set(lost.filter((name) => !inUse.has(name) && !listed.has(name)));

  let changed = pending.length > 0;
  const unlistedUrns: string[] = [];
  const resources = (deployment.resources ?? []).map((resource): StateResource => {
    if (resource.type.startsWith(providerTypePrefix)) {
      return resource;
    }
    const member = memberOfResource(nameOfUrn(resource.urn));
    const known =
      member === null
        ? resource.type === serverGroupType
        : listed.has(member) || retiring.has(member) || leftOver.has(member);
    if (!known) {
      unlistedUrns.push(resource.urn);
    }
    const mayGo =
      member === null
        ? known && !groups.has(nameOfUrn(resource.urn))
        : leftOver.has(member) || (retiring.has(member) && !listed.has(member));
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
  return { deployment: changed ? { ...rest, resources: kept } : deployment, changed, unlistedUrns };
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
  return {
    instances,
    lostCreates: [...new Set([...lostBefore, ...lostIn(deployment)])].filter((name) => !inState.has(name)),
    unlisted: [...inState].filter((member) => !listed.has(member)),
  };
};
