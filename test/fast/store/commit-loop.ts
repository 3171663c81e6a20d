/** Run as a process of its own by the crash test: commits without end and tells each acknowledged number. */
import { writeSync } from 'node:fs';
import { openBook, opened } from './book.js';

const [path = ''] = process.argv.slice(2);
const { store, document } = opened(await openBook(path, { clock: { now: () => Date.now() } }));
writeSync(1, `open ${String(document.n)}\n`);
let n = document.n;
const committer = async (): Promise<never> => {
  for (;;) {
    n += 1;
    const mine = n;
    await store.commit({ n: mine, note: 'x'.repeat(mine % 5000) });
    writeSync(1, `${String(mine)}\n`);
  }
};
await Promise.all([committer(), committer(), committer()]);
