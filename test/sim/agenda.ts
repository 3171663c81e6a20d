interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** What is going to happen, by time; things of one moment happen in the order in which they were planned. */
export class Agenda {
  private readonly heap: Entry[] = [];
  private order = 0;
  now: number;

  constructor(start: number) {
    this.now = start;
  }

  after(ms: number, run: () => void): void {
    this.push({ at: this.now + Math.max(0, Math.round(ms)), order: (this.order += 1), run });
  }

  /** Lets the next thing happen; false when nothing is left. */
  turn(): boolean {
    const entry = this.pop();
    if (entry === undefined) return false;
    this.now = entry.at;
    entry.run();
    return true;
  }

  private before(a: Entry, b: Entry): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  private push(entry: Entry): void {
    const heap = this.heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      const parent = heap[up] as Entry;
      if (!this.before(entry, parent)) break;
      heap[i] = parent;
      i = up;
    }
    heap[i] = entry;
  }

  private pop(): Entry | undefined {
    const heap = this.heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.before(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      const c = heap[child] as Entry;
      if (!this.before(c, last)) break;
      heap[i] = c;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
