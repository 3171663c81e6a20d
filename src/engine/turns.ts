/** A limited number of places, taken in the order of asking. */
export class Places {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) {
      this.free -= 1;
    } else {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) {
        this.free += 1;
      } else {
        next();
      }
    }
  }
}

/** One place for each key. */
export class Turns {
  private readonly places = new Map<string, { readonly place: Places; users: number }>();

  async use<T>(key: string, work: () => Promise<T>): Promise<T> {
    const entry = this.places.get(key) ?? { place: new Places(1), users: 0 };
    this.places.set(key, entry);
    entry.users += 1;
    try {
      return await entry.place.use(work);
    } finally {
      entry.users -= 1;
      if (entry.users === 0) {
        this.places.delete(key);
      }
    }
  }
}
