import { describe, expect, it } from '@jest/globals';
import type { Shape } from '../../../src/pool/model.js';
import { resolveShape } from '../../../src/service/resolve-shape.js';
import { keyOf, Pool, shapeOf } from '../pool/fixture.js';
import { FakeCloud } from './fake-ports.js';

const never = new AbortController().signal;

async function resolved(cloud: FakeCloud, shape = shapeOf()): Promise<Shape> {
  const answer = await resolveShape(cloud, shape, never);
  if (!answer.ok) throw new Error(answer.why);
  return answer.shape;
}

describe('resolving a shape', () => {
  it('pins ids and keeps the names for people', async () => {
    const cloud = new FakeCloud();
    cloud.imageIds.set('image', 'id-1');
    const { spec, generation } = await resolved(cloud);
    expect(spec).toMatchObject({
      image: 'image',
      pinned: { flavor: 'g1', image: 'id-1', networks: [{ id: 'net0', name: 'net0' }], tags: true },
    });
    expect(generation).toMatch(/^g1-[0-9a-f]{6}$/);
    expect((await resolved(cloud)).generation).toBe(generation);
  });

  it('names everything that is absent or cannot boot at once', async () => {
    const cloud = new FakeCloud();
    cloud.absent.add('g1').add('net0');
    cloud.imageStatus = 'deactivated';
    const answer = await resolveShape(cloud, shapeOf(), never);
    expect(answer.ok ? '' : answer.why).toMatch(
      /no g1; the image "image" \(image\) is deactivated.*; there is no net0/,
    );
  });

  it('a new image under an old name is a new generation: new VMs have it, old ones go as they become Free', async () => {
    const cloud = new FakeCloud();
    cloud.imageIds.set('image', 'old-image');
    const pool = new Pool(await resolved(cloud, shapeOf({ min: 2, max: 4 })));
    pool.boot();
    const job = keyOf('1');
    pool.stage(pool.ask(job));
    const busy = pool.members().find((m) => m.state.kind === 'Busy');
    cloud.imageIds.set('image', 'new-image');
    pool.adopt(await resolved(cloud, shapeOf({ min: 2, max: 4 })));
    for (let n = 0; n < 8; n += 1) {
      pool.boot();
      pool.end();
      pool.pass(1_000);
    }
    const images = pool.members().map((m) => [m.name === busy?.name, m.spec.pinned?.image]);
    expect(images).toContainEqual([true, 'old-image']);
    expect(images.filter(([mine]) => mine !== true).map(([, image]) => image)).toEqual(
      expect.arrayContaining(['new-image']),
    );
    expect(images.filter(([mine]) => mine !== true).map(([, image]) => image)).not.toContain('old-image');
  });
});
