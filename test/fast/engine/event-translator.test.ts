import { describe, expect, it } from '@jest/globals';
import type { automation } from '@pulumi/pulumi';
import { EventTranslator } from '../../../src/engine/event-translator.js';
import type { EngineEvent } from '../../../src/engine/port.js';
import type { CellName } from '../../../src/pool/model.js';

const instance = 'openstack:compute/instance:Instance';
const association = 'openstack:networking/floatingIpAssociate:FloatingIpAssociate';
const urn = (type: string, name: string): string => `urn:pulumi:p-c001::vmpool::${type}::${name}`;

const event = (more: Partial<automation.EngineEvent>): automation.EngineEvent => ({ sequence: 1, timestamp: 1, ...more });
const metadata = (
  op: automation.OpType,
  type: string,
  name: string,
  outputs: Record<string, unknown> = {},
): automation.StepEventMetadata =>
  ({
    op,
    urn: urn(type, name),
    type,
    provider: '',
    new: { type, urn: urn(type, name), id: `id-${name}`, parent: '', inputs: {}, outputs, provider: '' },
  });
const done = (...args: Parameters<typeof metadata>): automation.EngineEvent =>
  event({ resOutputsEvent: { metadata: metadata(...args) } });
const failed = (op: automation.OpType, name: string): automation.EngineEvent =>
  event({ resOpFailedEvent: { metadata: metadata(op, instance, name), status: 0, steps: 0 } });
const error = (name: string, message: string): automation.EngineEvent =>
  event({ diagnosticEvent: { urn: urn(instance, name), message, color: 'never', severity: 'error' } });

const translate = (events: readonly automation.EngineEvent[]) => {
  const seen: EngineEvent[] = [];
  const translator = new EventTranslator('c001' as CellName, (each) => seen.push(each));
  for (const each of events) {
    translator.take(each);
  }
  return { seen, general: translator.finish() };
};

describe("Pulumi's event stream", () => {
  it('says of a made server its id and addresses, and again once it has its floating IP', () => {
    const { seen } = translate([
      done('create', instance, 'a', {
        networks: [
          { name: 'net0', fixedIpV4: '10.0.0.1', fixedIpV6: '[fd00::1]' },
          { name: 'site0', fixedIpV4: '10.1.0.1', fixedIpV6: '' },
        ],
      }),
      done('create', association, 'a.floating-ip-association', { floatingIp: '192.0.2.1', fixedIp: '10.1.0.1' }),
    ]);
    expect(seen).toEqual([
      {
        type: 'created',
        cell: 'c001',
        member: 'a',
        serverId: 'id-a',
        addresses: { net0: ['10.0.0.1', 'fd00::1'], site0: ['10.1.0.1'] },
      },
      {
        type: 'created',
        cell: 'c001',
        member: 'a',
        serverId: 'id-a',
        addresses: { net0: ['10.0.0.1', 'fd00::1'], site0: ['10.1.0.1', '192.0.2.1'] },
      },
    ]);
  });

  it('says nothing of servers that stay as they are', () => {
    expect(translate([done('same', instance, 'a')]).seen).toEqual([]);
  });

  it('says of a failure its words, whether they come before or after it', () => {
    const { seen } = translate([
      error('a', '<{%fg 1%}>quota\n\nexceeded<{%reset%}>'),
      failed('create', 'a'),
      failed('delete', 'b'),
      error('b', 'HTTP 503'),
    ]);
    expect(seen).toEqual([
      { type: 'createFailed', cell: 'c001', member: 'a', message: 'quota exceeded' },
      { type: 'removeFailed', cell: 'c001', member: 'b', message: 'HTTP 503' },
    ]);
  });

  it('says an error once, without the place in the provider that reported it', () => {
    const { seen } = translate([
      error('a', 'sdk-v2/provider2.go:571: sdk.helper_schema: Error creating server: Quota: provider=openstack@3.15.2'),
      error('a', '1 error occurred:\n\t* Error creating server: Quota\n\n'),
      failed('create', 'a'),
    ]);
    expect(seen).toEqual([
      { type: 'createFailed', cell: 'c001', member: 'a', message: 'Error creating server: Quota' },
    ]);
  });

  it('reports a failure without words at the end, and errors of no member apart', () => {
    const { seen, general } = translate([
      failed('create', 'a'),
      event({ diagnosticEvent: { message: 'no plugin', color: 'never', severity: 'error' } }),
    ]);
    expect(seen).toEqual([expect.objectContaining({ type: 'createFailed', member: 'a' })]);
    expect(general).toEqual(['no plugin']);
  });

  it('says that a server is removed', () => {
    expect(translate([done('delete', instance, 'a')]).seen).toEqual([{ type: 'removed', cell: 'c001', member: 'a' }]);
  });
});
