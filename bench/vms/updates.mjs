/** Hundreds of updates of cells, one after the other: does anything grow with their number? */
import { join } from 'node:path';
import { owned } from '../owner.mjs';
import { median, row, slopeRows } from '../results.mjs';
import { isQuiet, openSite } from '../site.mjs';
import { bytesBelow, memoryOf } from '../usage.mjs';
import { requestToPost } from './request.mjs';

const isStore = (path) => /^book\.json/.test(path);
/** Each of them drops its oldest parts by itself. */
const isLimited = (path) => /^(history|usage|engine\/pulumi-home\/logs)\//.test(path);
const isElsewhere = (path) => isLimited(path) || /^pulumi\//.test(path);

/** Updates of cells so far, as the service counts them. */
async function updatesOf(site) {
  const answer = await fetch(`${site.url}/metrics`, {
    headers: { Authorization: `Bearer ${site.tokens.operator}` },
    signal: AbortSignal.timeout(30_000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`/metrics: ${answer.status} ${text}`);
  return [...text.matchAll(/^vmpool_cell_update_seconds_count\{.*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

/**
 * VMs come for jobs and go after them, some at a time, until `updates` updates have run. Every tenth of that is a look at
 * disk, memory, and how long a request takes to Nova.
 */
export const updateRows = ({ updates = 300, atOnce = 6 } = {}) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: 2 * updates + 200 },
      shape: { min: 0, max: atOnce + 1 },
      engine: { maxParallel: atOnce + 1 },
      // Each VM in a cell of its own: the most updates for the fewest VMs.
      policy: { idleBeforeShrink: '1s', cellSize: 1 },
    });
    let job = 0;
    /** Asks for `n` VMs at once, gives them back, and waits until they are gone. Milliseconds to the first POST. */
    const round = async (n) => {
      const jobs = Array.from({ length: n }, () => `${(job += 1)}.u`);
      const [first, ...others] = jobs;
      const { id, ms } = await requestToPost(site, first);
      const rest = await Promise.all(others.map((one) => site.client.request(site.request(one))));
      await Promise.all([id, ...rest.map((one) => one.id)].map((one) => site.granted(one)));
      await Promise.all(jobs.map((one) => site.release(one)));
      await site.sees('an empty pool', (status) => status.members.length === 0 && isQuiet(status));
      return ms;
    };
    const seen = [];
    await round(atOnce);
    const first = await updatesOf(site);
    for (let done = 0, posts = []; done < updates;) {
      posts.push(await round(atOnce));
      done = (await updatesOf(site)) - first;
      if (done < ((seen.length + 1) * updates) / 10) continue;
      seen.push({
        store: bytesBelow(site.state, isStore),
        state: bytesBelow(join(site.state, 'pulumi')),
        rest: bytesBelow(site.state, (path) => !isStore(path) && !isElsewhere(path)),
        limited: bytesBelow(site.state, isLimited),
        memory: memoryOf(site.service.pid),
        ms: median(posts),
      });
      posts = [];
      process.stderr.write(`  after ${done} updates: ${JSON.stringify(seen.at(-1))}\n`);
    }
    const [early, late] = [seen[0], seen.at(-1)];
    const what = `${updates} updates of cells`;
    const rows = slopeRows(what, seen, [
      ['store', 'store', 'bytes'],
      ['state', "Pulumi's state", 'bytes'],
      ['rest', 'what else the service keeps, without what has a limit of its own,', 'bytes'],
      ['memory', 'memory of all processes', 'MB'],
      ['ms', 'request to POST /servers', 'ms'],
    ]);
    const each = ((late.limited - early.limited) / updates) * (seen.length / (seen.length - 1));
    const limits = 'history (128 MiB), account (usage.size), logs of Pulumi (32 MB)';
    return [...rows, row(`${what}: each adds to ${limits}`, 'bytes', { p50: each })];
  });
