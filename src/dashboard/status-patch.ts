import type { MemberView, StatusView } from '../http/api.js';

/** What a watcher is told of the status: all of it first, then what became different. */
export type StatusMessage =
  | { readonly kind: 'whole'; readonly role: 'operator' | 'viewer'; readonly status: StatusView }
  | { readonly kind: 'patch'; readonly patch: StatusPatch };

export interface StatusPatch {
  /** Whole fields that differ; `members` is told apart. */
  readonly fields: Partial<Omit<StatusView, 'members'>>;
  /** New and changed VMs, whole. */
  readonly members: readonly MemberView[];
  /** Names of VMs that are no more. */
  readonly gone: readonly string[];
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Changes with every look, and means nothing by itself. */
const clockOnly = new Set(['now']);

/** What turns `before` into `after`, or null when nothing differs but the time. */
export function statusPatch(before: StatusView, after: StatusView): StatusPatch | null {
  const { members: old, ...fieldsBefore } = before;
  const { members: current, ...fieldsAfter } = after;
  const changed = Object.entries(fieldsAfter).filter(
    ([key, value]) => !same(value, (fieldsBefore as Readonly<Record<string, unknown>>)[key]),
  );
  const known = new Map(old.map((member) => [member.name, JSON.stringify(member)]));
  const members = current.filter((member) => known.get(member.name) !== JSON.stringify(member));
  const names = new Set(current.map(({ name }) => name));
  const gone = old.map(({ name }) => name).filter((name) => !names.has(name));
  if (members.length === 0 && gone.length === 0 && changed.every(([key]) => clockOnly.has(key))) return null;
  return { fields: Object.fromEntries(changed), members, gone };
}

/** The status after the patch. VMs keep their order; new ones come last, as the service lists them by birth. */
export function patched(before: StatusView, patch: StatusPatch): StatusView {
  const gone = new Set(patch.gone);
  const fresh = new Map(patch.members.map((member) => [member.name, member]));
  const kept = before.members
    .filter(({ name }) => !gone.has(name))
    .map((member) => {
      const next = fresh.get(member.name);
      fresh.delete(member.name);
      return next ?? member;
    });
  return { ...before, ...patch.fields, members: [...kept, ...fresh.values()] };
}
