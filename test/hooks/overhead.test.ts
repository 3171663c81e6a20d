import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { alice, Site } from './site.js';

jest.setTimeout(90_000);

describe('what the hooks cost a job on a Free VM', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ vms: 1 });
  });
  afterAll(() => site?.close());

  it('is told in milliseconds', async () => {
    const rows: number[][] = [];
    for (let i = 0; i < 8; i++) {
      const began = performance.now();
      const id = site.mom.submit({ user: alice.name, script: 'true' });
      await site.mom.running(id);
      const prologue = performance.now() - began;
      await site.mom.until(id, () => site.mom.state(id) !== 'running', 'its end');
      const job = performance.now() - began - prologue;
      await site.mom.finished(id);
      rows.push([prologue, job, site.mom.epilogues(id)[0]?.ms ?? 0]);
    }
    const median = [0, 1, 2].map(
      (column) => rows.map((row) => Math.round(row[column] ?? 0)).sort((a, b) => a - b)[4],
    );
    console.log(
      `prologue ${median[0]} ms, job starter with its ssh ${median[1]} ms, epilogue ${median[2]} ms`,
    );
    expect(median).not.toContain(undefined);
  });
});
