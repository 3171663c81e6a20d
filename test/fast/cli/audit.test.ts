import { describe, expect, it } from '@jest/globals';
import { projectDefaults } from '../../../src/engine/stack-config.js';
import { shapeOf } from '../../../src/service/config-changes.js';
import { audit, type AuditedStack, type AuditParts } from '../../../src/cli/audit/audit.js';
import { stepsIn, stepText } from '../../../src/cli/audit/preview-text.js';
import { differencesOf } from '../../../src/cli/audit/stacks.js';
import { auditText } from '../../../src/cli/commands/audit.js';
import { plain } from '../../../src/cli/terminal.js';
import { untilSignal } from '../../../src/cli/until-signal.js';
import { FakeClient, statusView, unreachable } from './play.js';

const fine = (stack: string): AuditedStack => ({ stack, result: 'as expected', lines: [] });
const paused = { why: 'work on the cloud', since: '', until: '' };

/** A service that is paused and goes on as it is told. */
class PausingClient extends FakeClient {
  override pause: FakeClient['pause'] = (order) => {
    this.asked.push(`pause ${String(order.forSeconds)}`);
    this.view = { ...this.view, paused };
    return Promise.resolve({ detail: 'paused' });
  };
  failures = 0;
  override resume: FakeClient['resume'] = () => {
    this.asked.push('resume');
    this.failures -= 1;
    if (this.failures >= 0) return Promise.reject(unreachable());
    this.view = { ...this.view, paused: null };
    return Promise.resolve({ detail: 'goes on' });
  };
  orders(): string[] {
    return this.asked.filter((asked) => asked !== 'status');
  }
}

const parts = (client: FakeClient, changes: Partial<AuditParts> = {}): AuditParts => ({
  client,
  stacks: ['p', 'p-c001', 'p-c002'].map((stack) => ({ stack, look: () => Promise.resolve(fine(stack)) })),
  ...{ forSeconds: 600, waitMs: 200, tell: () => undefined, pollMs: 1 },
  signal: new AbortController().signal,
  ...changes,
});

describe('the audit of the cloud', () => {
  it('pauses, looks at every stack and lets changes go on', async () => {
    const client = new PausingClient();
    const found = await audit(parts(client));
    expect(found).toEqual({ stacks: [fine('p'), fine('p-c001'), fine('p-c002')], problems: [] });
    expect(client.orders()).toEqual(['pause 600', 'resume']);
  });

  it('leaves a pause as it is that somebody else has ordered', async () => {
    const client = new PausingClient();
    client.view = statusView({ paused });
    expect((await audit(parts(client))).problems).toEqual([]);
    expect(client.orders()).toEqual([]);
  });

  it('waits for updates that run, and gives up in time: changes go on all the same', async () => {
    const client = new PausingClient();
    const cell = { name: 'c001', stack: 'p-c001', members: 1, running: true, lastError: null };
    client.view = statusView({ cells: [cell] });
    const told: string[] = [];
    await expect(audit(parts(client, { tell: (text) => void told.push(text) }))).rejects.toThrow(
      'p-c001 still being updated',
    );
    expect(told[1]).toBe('Waiting for 1 update to end: p-c001');
    expect(client.orders()).toEqual(['pause 600', 'resume']);
  });

  it('lets changes go on when it is stopped, and after a failure of its own', async () => {
    const client = new PausingClient();
    const stop = new AbortController();
    const look = (signal: AbortSignal): Promise<AuditedStack> =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ stack: 'p', result: 'failed', lines: [] }));
        stop.abort();
      });
    const stopped = await audit(parts(client, { stacks: [{ stack: 'p', look }], signal: stop.signal }));
    expect(stopped).toEqual({ stacks: [], problems: [] });
    expect(client.orders()).toEqual(['pause 600', 'resume']);
    const broken = parts(client, {
      stacks: [{ stack: 'p', look: () => Promise.reject(new Error('a bug')) }],
    });
    await expect(audit(broken)).rejects.toThrow('a bug');
    expect(client.orders().slice(2)).toEqual(['pause 600', 'resume']);
  });

  it('asks again for the end of the pause, and says so when it cannot be had', async () => {
    const client = new PausingClient();
    client.failures = 3;
    expect((await audit(parts(client))).problems).toEqual([]);
    client.failures = 99;
    expect((await audit(parts(client))).problems).toEqual([expect.stringContaining('still paused')]);
  });

  it('does not trust what it saw when the pause ended too early', async () => {
    const client = new PausingClient();
    const look = (): Promise<AuditedStack> => {
      client.view = statusView();
      return Promise.resolve(fine('p'));
    };
    const { problems } = await audit(parts(client, { stacks: [{ stack: 'p', look }] }));
    expect(problems).toEqual([expect.stringContaining('ended before the audit did')]);
  });

  it('comes to its end on a signal', async () => {
    const { value, code } = await untilSignal(
      (signal) =>
        new Promise<string>((resolve) => {
          signal.addEventListener('abort', () => resolve('in order'));
          process.emit('SIGTERM', 'SIGTERM');
          process.emit('SIGINT', 'SIGINT');
        }),
    );
    expect([value, code]).toEqual(['in order', 143]);
    expect(process.listenerCount('SIGTERM')).toBe(0);
  });

  it('tells a line a stack, and what differs below it', () => {
    const terminal = { paint: plain } as never;
    const found = {
      stacks: [fine('p'), { stack: 'p-c001', result: 'differs', lines: ['VM is gone'] }] as const,
      problems: [],
    };
    expect(auditText(found, { terminal })).toBe(
      'ok       p\nDIFFERS  p-c001\n         VM is gone\n1 of 2 stacks are not as expected.',
    );
  });
});

describe('the words of a preview with a refresh', () => {
  const head = (op: string, extra = ''): string =>
    `    ~ openstack:compute/instance:Instance: (${op})${extra}
        [id=6b1a]
        [urn=urn:pulumi:site-c001::vmpool::openstack:compute/instance:Instance::site-0001-e39x]
`;
  const stack = (mark: string, op: string): string =>
    `${mark}pulumi:pulumi:Stack: (${op})
    [urn=urn:pulumi:site-c001::vmpool::pulumi:pulumi:Stack::vmpool-site-c001]
`;
  const texts = (...blocks: string[]): string[] => stepsIn(blocks.join('')).map(stepText);

  it('say nothing where all is the same', () => {
    expect(texts('Previewing update (site-c001):\n', stack('~ ', 'refresh'), stack('  ', 'same'))).toEqual(
      [],
    );
  });
  it('name what was changed in the cloud; what passes by itself does not count', () => {
    const changed = `        --outputs:--
      ~ allMetadata          : {
          + foreign            : "yes"
        }
      ~ flavorId             : "1" => "2"
      ~ updated              : "a" => "b"
`;
    expect(texts(stack('~ ', 'refresh'), head('refresh', ' 🔒'), changed, stack('  ', 'same'))).toEqual([
      'openstack:compute/instance:Instance site-0001-e39x was changed in the cloud: allMetadata, flavorId',
    ]);
    expect(texts(head('refresh'), '        --outputs:--\n      ~ updated : "a" => "b"\n')).toEqual([]);
  });
  it('tell of a VM that is gone and of what an update would do', () => {
    const gone = '        --outputs:--\n      - accessIpV4 : "127.1.0.2"\n      - id : "6b1a"\n';
    expect(texts(head('refresh'), gone, stack('  ', 'same'), head('create').replace('~', '+'))).toEqual([
      'openstack:compute/instance:Instance site-0001-e39x is not in the cloud any more',
      'create openstack:compute/instance:Instance site-0001-e39x: the cloud and the stack differ',
    ]);
  });
});

it('the pool stack is held against its config key by key', () => {
  const config = (max: number): Parameters<typeof differencesOf>[1] => {
    const parsed = shapeOf(
      {
        'vmpool:max': max,
        'vmpool:flavor': 'small',
        'vmpool:image': 'debian',
        'vmpool:networks': ['net0'],
        'vmpool:adminKey': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6 vmpool',
      },
      projectDefaults(),
    );
    if (!parsed.ok) throw new Error(parsed.errors.join());
    return parsed.value;
  };
  expect(differencesOf({ ...config(40), services: null }, config(40))).toEqual([]);
  expect(differencesOf(config(60), config(40))).toEqual(['max: the stack publishes 60, the config says 40']);
});
