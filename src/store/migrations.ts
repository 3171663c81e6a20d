import { errorText } from './files.js';

/** Entry n takes a document of version n and returns one of version n + 1. Pure; may throw on what it cannot read. */
export type Migrations = Readonly<Record<number, (old: unknown) => unknown>>;

export type Migrated =
  { readonly ok: true; readonly document: unknown } | { readonly ok: false; readonly why: string };

/** Takes a document from the version it was written with to the current one, step by step. */
export const migrate = (document: unknown, from: number, to: number, migrations: Migrations): Migrated => {
  if (from > to) {
    return {
      ok: false,
      why: `it was written by a newer VM Pool (version ${String(from)}, this one knows up to ${String(to)})`,
    };
  }
  let current = document;
  for (let version = from; version < to; version += 1) {
    const step = migrations[version];
    if (step === undefined) {
      return { ok: false, why: `this VM Pool no longer knows how to read version ${String(from)}` };
    }
    try {
      current = step(current);
    } catch (error) {
      return {
        ok: false,
        why:
          `it could not be brought from version ${String(version)} to ${String(version + 1)}: ` +
          errorText(error),
      };
    }
  }
  return { ok: true, document: current };
};
