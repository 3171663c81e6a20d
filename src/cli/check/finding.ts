/** One line of `vmpool check`. */
export interface Finding {
  /** What was looked at, a word or two. */
  readonly what: string;
  /** `note`: could not be looked at here, or worth knowing; not a fault. */
  readonly result: 'ok' | 'note' | 'fail';
  /** What was found and, for a fault, what to do. */
  readonly text: string;
}

/** What a check says: good, a note, or faults (several if there are). */
export type Verdict =
  { readonly ok: string } | { readonly note: string } | { readonly faults: readonly string[] };

export const findingsOf = (what: string, verdict: Verdict): readonly Finding[] => {
  if ('ok' in verdict) return [{ what, result: 'ok', text: verdict.ok }];
  if ('note' in verdict) return [{ what, result: 'note', text: verdict.note }];
  return verdict.faults.map((text) => ({ what, result: 'fail', text }));
};

/** Good unless there are faults. */
export const unless = (faults: readonly string[], ok: string): Verdict =>
  faults.length === 0 ? { ok } : { faults };
