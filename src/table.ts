import sortedBtree from 'sorted-btree';
import diffAgainst from 'sorted-btree/extended/diffAgainst.js';

type Tree<V> = sortedBtree.default<string, V>;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** One key that two versions of a table do not have in common; `undefined` where it is not there. */
export interface Change<V> {
  readonly key: string;
  readonly before: V | undefined;
  readonly after: V | undefined;
}

/**
 * What is kept of all values of a table, from version to version: one more value, one less or another one costs what
 * `changed` costs, not a walk through the table. `before` or `after` is undefined where the key is new or gone. `changed`
 * must not change the index that it is given: earlier versions of the table still have it.
 */
export interface TableIndex<V, I> {
  readonly empty: I;
  readonly changed: (index: I, before: V | undefined, after: V | undefined) => I;
}

/** The values by a key of their own, several where they share it. */
export function indexBy<V>(keyOf: (value: V) => string): TableIndex<V, Table<readonly V[]>> {
  const without = (index: Table<readonly V[]>, value: V): Table<readonly V[]> => {
    const key = keyOf(value);
    const values = index.get(key) ?? [];
    const rest = values.toSpliced(values.indexOf(value), 1);
    return rest.length === 0 ? index.without(key) : index.with(key, rest);
  };
  return {
    empty: Table.of(),
    changed: (index, before, after) => {
      const left = before === undefined ? index : without(index, before);
      if (after === undefined) return left;
      return left.with(keyOf(after), [...(left.get(keyOf(after)) ?? []), after]);
    },
  };
}

/**
 * An immutable table: values by key, in the order of the keys' UTF-16 code units. A changed table shares all but a few
 * nodes with the one that it was made of, so that a change costs the same in a large table as in a small one, and what
 * differs between two versions is found without looking at the rest. As JSON it is an object. Any string is a key, also
 * one that every object inherits a property of.
 */
export class Table<V> {
  readonly #tree: Tree<V>;
  /** Kept, because a step looks at most tables several times. */
  #values: readonly V[] | null = null;

  /** Those that were asked for once, here or of a version that this one was made of. */
  readonly #indexes: Map<TableIndex<V, unknown>, unknown>;

  private constructor(tree: Tree<V>, indexes = new Map<TableIndex<V, unknown>, unknown>()) {
    this.#tree = tree;
    this.#indexes = indexes;
  }

  /** The entries of an object, or pairs of which the last with a key counts. */
  static of<V>(entries: Readonly<Record<string, V>> | Iterable<readonly [string, V]> = []): Table<V> {
    const pairs = Symbol.iterator in entries ? entries : Object.entries<V>(entries);
    const tree = new sortedBtree.default<string, V>(undefined, compare);
    for (const [key, value] of pairs) tree.set(key, value);
    return new Table(tree);
  }

  get size(): number {
    return this.#tree.size;
  }

  get(key: string): V | undefined {
    return this.#tree.get(key);
  }

  has(key: string): boolean {
    return this.#tree.has(key);
  }

  with(key: string, value: V): Table<V> {
    const tree = this.#tree.clone();
    tree.set(key, value);
    return new Table(tree, this.#indexesAfter(this.#tree.get(key), value));
  }

  /** The same table when the key is not there. */
  without(key: string): Table<V> {
    if (!this.#tree.has(key)) return this;
    const tree = this.#tree.clone();
    tree.delete(key);
    return new Table(tree, this.#indexesAfter(this.#tree.get(key), undefined));
  }

  #indexesAfter(before: V | undefined, after: V | undefined): Map<TableIndex<V, unknown>, unknown> {
    const indexes = new Map<TableIndex<V, unknown>, unknown>();
    for (const [of, index] of this.#indexes) indexes.set(of, of.changed(index, before, after));
    return indexes;
  }

  /** Made by a walk when it is first asked for; the versions that follow have it by what changed. */
  index<I>(of: TableIndex<V, I>): I {
    const key = of as TableIndex<V, unknown>;
    if (!this.#indexes.has(key)) {
      let index = of.empty;
      for (const value of this.values()) index = of.changed(index, undefined, value);
      this.#indexes.set(key, index);
    }
    return this.#indexes.get(key) as I;
  }

  values(): readonly V[] {
    this.#values ??= this.#tree.valuesArray();
    return this.#values;
  }

  keys(): readonly string[] {
    return this.#tree.keysArray();
  }

  entries(): readonly (readonly [string, V])[] {
    return this.#tree.toArray();
  }

  [Symbol.iterator](): Iterator<readonly [string, V]> {
    return this.entries()[Symbol.iterator]();
  }

  /** What makes this table of `before`: by identity of the values. */
  changesFrom(before: Table<V>): Change<V>[] {
    const changes: Change<V>[] = [];
    diffAgainst.default(
      before.#tree,
      this.#tree,
      (key, value) => void changes.push({ key, before: value, after: undefined }),
      (key, value) => void changes.push({ key, before: undefined, after: value }),
      (key, old, value) => void changes.push({ key, before: old, after: value }),
    );
    return changes;
  }

  toJSON(): Record<string, V> {
    return Object.fromEntries(this.#tree.toArray());
  }
}
