/** No VM is Free: how soon does a request reach Nova, by the pool's size? */
import { owned } from '../owner.mjs';
import { atMost, median, row, spread } from '../results.mjs';
import { openSite } from '../site.mjs';
import { directPosts, firstPost, plainPulumiToPost } from './direct.mjs';
import { premake } from './premade.mjs';

/** Medians of one size and another differ by chance. */
const flat = 1.3;

/** Asks for a VM; milliseconds to the POST that follows from it, by the one machine's clock. */
export async function requestToPost(site, job) {
  await site.control.clearCalls();
  const asked = Date.now();
  const { id } = await site.client.request(site.request(job));
  return { id, ms: await firstPost(site, asked) };
}

const ofSize = (members, rounds, withPlain) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: members + 3 * rounds + 60 },
      shape: { min: 0, max: members + rounds },
    });
    await premake(site, { members, leases: members });
    const floors = await directPosts(site, rounds);
    const times = [];
    for (let n = 0; n < rounds; n += 1) {
      const { id, ms } = await requestToPost(site, `cold${n}.b`);
      times.push(ms);
      await site.granted(id);
      // The next one meets a pool at rest, as the first did.
      await site.atRest();
    }
    return { times, floor: median(floors), plain: withPlain ? await plainPulumiToPost(site, 3) : null };
  });

/** One row for each size. Larger sizes may not take longer than the smallest. */
export async function requestRows({ sizes = [10, 100, 1_000], rounds = 6 } = {}) {
  const rows = [];
  let smallest = null;
  for (const members of sizes) {
    const { times, floor, plain } = await ofSize(members, rounds, members === sizes[0]);
    smallest ??= median(times);
    const wanted = [atMost(1_000, { unit: 'ms' })];
    if (members !== sizes[0])
      wanted.push({
        text: `<= ${flat}x that of ${sizes[0]}`,
        holds: (own, slack) => own.p50 <= flat * smallest * slack,
      });
    const what = `no VM Free among ${members}: request to POST /servers`;
    rows.push(row(what, 'ms', { ...spread(times), floor, wanted }));
    if (plain !== null)
      rows.push(
        row('beside it, one plain `pulumi up` of one instance: its start to POST /servers', 'ms', {
          ...{ ...spread(plain), floor },
        }),
      );
  }
  return rows;
}
