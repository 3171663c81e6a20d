export type Verdict =
  | { readonly kind: 'clean' }
  | { readonly kind: 'unanswered'; readonly why: string }
  | { readonly kind: 'found'; readonly found: readonly string[] };
export function verdict(text: string): Verdict;
