import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chooseClass, objectionOf, type ClassOffer, type JobWish } from '../../../src/pool/classes.js';

const gib = 1024 ** 3;
const wish = (more: Partial<JobWish> = {}): JobWish => ({
  ...{ processors: 1, memory: null, features: [], queue: 'batch', worker: 'w1' },
  ...more,
});
const offer = (pool: string, more: Partial<ClassOffer> = {}): ClassOffer => ({
  ...{ pool, queues: null, workers: null, features: [], reserved: false, processors: 4, memory: 8 * gib },
  ...more,
});
const small = offer('small');
const large = offer('large', { processors: 32, memory: 128 * gib });
const gpu = offer('gpu', { processors: 16, memory: 64 * gib, features: ['gpu', 'cuda'], reserved: true });
const site = [small, large, gpu];
const chosen = (job: Partial<JobWish>, classes: readonly ClassOffer[] = site): string | null => {
  const choice = chooseClass(wish(job), classes);
  return choice.kind === 'chosen' ? choice.pool : null;
};

/** Few values, so that wishes and offers meet. */
const features = fc.subarray(['gpu', 'ssd', 'big']);
const queues = ['short', 'long'];
const workers = ['w1', 'w2'];
const wishes: fc.Arbitrary<JobWish> = fc.record({
  processors: fc.integer({ min: 1, max: 9 }),
  memory: fc.option(fc.integer({ min: 1, max: 9 }).map((n) => n * gib)),
  features,
  queue: fc.constantFrom(...queues, ''),
  worker: fc.constantFrom(...workers),
});
const rules = fc.record({
  queues: fc.option(fc.subarray(queues, { minLength: 1 })),
  workers: fc.option(fc.subarray(workers, { minLength: 1 })),
  features,
  reserved: fc.boolean(),
  processors: fc.option(fc.integer({ min: 1, max: 9 })),
  memory: fc.option(fc.integer({ min: 1, max: 9 }).map((n) => n * gib)),
});
const classes = fc
  .array(rules, { minLength: 1, maxLength: 5 })
  .map((all) => all.map((rule, index): ClassOffer => ({ pool: `p${String(index)}`, ...rule })));

/** What the words of the reference say, said once more. */
const fits = (job: JobWish, c: ClassOffer): boolean =>
  (c.queues === null || c.queues.some((name) => name === job.queue)) &&
  (c.workers === null || c.workers.some((name) => name === job.worker)) &&
  new Set([...c.features, ...job.features]).size === new Set(c.features).size &&
  !(c.reserved && job.features.length === 0) &&
  job.processors <= (c.processors ?? Infinity) &&
  (job.memory ?? 0) <= (c.memory ?? Infinity);

describe('the class of a job', () => {
  it('goes by processors, memory, features and queue', () => {
    expect(chosen({})).toBe('small');
    expect(chosen({ processors: 4, memory: 8 * gib })).toBe('small');
    expect(chosen({ processors: 5 })).toBe('large');
    expect(chosen({ memory: 8 * gib + 1 })).toBe('large');
    expect(chosen({ features: ['gpu'] })).toBe('gpu');
    expect(chosen({ features: ['gpu'], processors: 17 })).toBeNull();
    expect(chosen({ queue: 'long' }, [offer('a', { queues: ['short'] }), offer('b')])).toBe('b');
    expect(chosen({}, [offer('a', { workers: ['w2'] }), offer('b')])).toBe('b');
    expect(chosen({ worker: 'w2' }, [offer('a', { workers: ['w2'] }), offer('b')])).toBe('a');
    expect(chooseClass(wish(), [offer('a', { workers: ['w2', 'w3'] })])).toMatchObject({
      kind: 'none',
      detail: expect.stringMatching(
        /a \(4 processors, 8 GiB, workers w2, w3\): not for jobs of w1$/,
      ) as unknown,
    });
  });

  it('keeps what is reserved for those who ask for it', () => {
    expect(chosen({ processors: 16 }, [small, gpu])).toBeNull();
    expect(chosen({ processors: 16 }, [small, { ...gpu, reserved: false }])).toBe('gpu');
  });

  it('says what was asked, what each class offers and what it lacks', () => {
    const choice = chooseClass(wish({ processors: 64, memory: 3 * gib, features: ['ssd'], queue: 'long' }), [
      small,
      { ...gpu, queues: ['gpus'] },
      offer('ssd', { features: ['ssd'], memory: 1.5 * gib }),
    ]);
    expect(choice).toEqual({
      kind: 'none',
      detail:
        'no class of VMs fits the job, which asks for 64 processors, 3 GiB of memory, the features ssd, a place in queue long. ' +
        'small (4 processors, 8 GiB): lacks ssd; gpu (16 processors, 64 GiB, features gpu, cuda, queues gpus): not for that queue; ' +
        'ssd (4 processors, 1.5 GiB, features ssd): too few processors',
    });
  });

  it('waits for a class in front that is not known yet, where that matters', () => {
    const unknown = { ...small, processors: null, memory: null };
    expect(chooseClass(wish({ processors: 2 }), [unknown, large])).toMatchObject({
      kind: 'not-known-yet',
      pool: 'small',
    });
    expect(chosen({}, [unknown, large])).toBe('small');
    expect(chosen({ processors: 2 }, [large, unknown])).toBe('large');
    expect(chosen({ processors: 2, features: ['gpu'] }, [unknown, gpu])).toBe('gpu');
  });

  it('is the first that fits, and there is none only when none fits', () => {
    fc.assert(
      fc.property(wishes, classes, (job, all) => {
        const choice = chooseClass(job, all);
        const first = all.find((each) => fits(job, each));
        if (choice.kind === 'none') expect(first).toBeUndefined();
        else expect(choice.pool).toBe(first?.pool);
        for (const each of all) expect(objectionOf(job, each) === null).toBe(fits(job, each));
      }),
    );
  });

  it('is settled once every class is known, and what becomes known changes no choice', () => {
    fc.assert(
      fc.property(wishes, classes, fc.integer({ min: 1, max: 9 }), (job, all, size) => {
        const known = all.map((each) => ({
          ...each,
          processors: each.processors ?? size,
          memory: each.memory ?? size * gib,
        }));
        const [before, after] = [chooseClass(job, all), chooseClass(job, known)];
        expect(after.kind).not.toBe('not-known-yet');
        if (before.kind !== 'not-known-yet') expect(after.kind).toBe(before.kind);
        if (before.kind === 'chosen') expect(after).toEqual(before);
      }),
    );
  });

  it('asks for less and still has a place', () => {
    fc.assert(
      fc.property(wishes, classes, fc.integer({ min: 1, max: 9 }), (job, all, less) => {
        const modest = { ...job, processors: Math.min(job.processors, less), memory: null };
        if (chooseClass(job, all).kind === 'chosen') expect(chooseClass(modest, all).kind).not.toBe('none');
      }),
    );
  });
});
