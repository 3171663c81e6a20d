import { describe, expect, it } from '@jest/globals';
import { bookSchema } from '../../../src/pool/book-schema.js';
import { emptyBook } from '../../../src/pool/book.js';
import type { InstallationId } from '../../../src/pool/model.js';
import { keyOf, ready } from './fixture.js';

const uuid = '5e0c1f4e-53a6-4c3e-9a59-6f3d6f3c8a11' as InstallationId;

const stored = (book: object): unknown => JSON.parse(JSON.stringify(book));

describe('the stored form of the book', () => {
  it('takes an empty book', () => {
    expect(bookSchema.parse(stored(emptyBook(uuid, 'p', 1)))).toEqual(emptyBook(uuid, 'p', 1));
  });

  it('takes back every book that the core makes, unchanged', () => {
    const pool = ready(2);
    pool.ask(keyOf('1'));
    const book = { ...pool.book, installation: uuid };
    expect(bookSchema.parse(stored(book))).toEqual(book);
  });

  it.each(['planned', 'managed', 'stateless', 'dropped', 'adopted'])(
    'knows members that are %s',
    (engine) => {
      const pool = ready(1);
      const member = pool.member();
      const book = { ...pool.book, installation: uuid, members: { [member.name]: { ...member, engine } } };
      expect(bookSchema.safeParse(stored(book)).success).toBe(true);
    },
  );

  it('refuses a lease whose VM does not know of it', () => {
    const pool = ready(1);
    pool.ask(keyOf('1'));
    const member = pool.member();
    const free = { ...member, state: { kind: 'Free', since: 1 } };
    const book = { ...pool.book, installation: uuid, members: { [member.name]: free } };
    expect(bookSchema.safeParse(stored(book)).success).toBe(false);
  });
});
