/** A call's end: HTTP class of its answer, or why none came. */
export type CallOutcome = '2xx' | '3xx' | '4xx' | '401' | '403' | '404' | '409' | '429' | '5xx' | 'no-answer';

export interface CallCount {
  readonly service: string;
  readonly method: string;
  readonly outcome: CallOutcome;
  readonly count: number;
}

export function outcomeOf(status: number): CallOutcome {
  switch (status) {
    case 401:
      return '401';
    case 403:
      return '403';
    case 404:
      return '404';
    case 409:
      return '409';
    case 413:
    case 429:
      return '429';
    default:
      if (status >= 500) return '5xx';
      if (status >= 400) return '4xx';
      return status >= 300 ? '3xx' : '2xx';
  }
}

/** Counts HTTP exchanges, retries included, by service, method and outcome. */
export class CallCounter {
  readonly #counts = new Map<string, CallCount>();

  add(service: string, method: string, outcome: CallOutcome): void {
    const key = `${service} ${method} ${outcome}`;
    this.#counts.set(key, { service, method, outcome, count: (this.#counts.get(key)?.count ?? 0) + 1 });
  }

  all(): readonly CallCount[] {
    return [...this.#counts.values()];
  }
}
