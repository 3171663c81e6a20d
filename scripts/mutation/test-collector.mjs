import { expect } from 'expect';
import { bind } from 'jest-each';

/**
 * Collects the tests of a file as Jest would, with Jest's own `expect` and `each`; running them is left to who asked.
 *
 * @typedef {{ id: string, file: string, run: () => unknown }} CollectedTest
 */
export class TestCollector {
  #ids = new Set();
  #within = [];
  #file = '';

  /** @type {CollectedTest[]} */
  tests = [];

  /** What the tests may import from `@jest/globals`: another name is undefined, and fails when it is called. */
  globals = {
    expect,
    describe: (name, body) => {
      this.#within.push(name);
      body();
      this.#within.pop();
    },
    it: Object.assign((name, run) => this.#add(name, run), {
      each: bind((name, run) => this.#add(name, run)),
    }),
  };

  /** Tests that are collected while `load` runs are those of this file. */
  fromFile(file, load) {
    this.#file = file;
    load();
  }

  #add(name, run) {
    const full = [...this.#within, name].join(' > ');
    let id = full;
    for (let n = 2; this.#ids.has(id); n += 1) id = `${full} (${n})`;
    this.#ids.add(id);
    this.tests.push({ id, file: this.#file, run });
  }
}
