import type { automation } from '@pulumi/pulumi';
import { z } from 'zod';
import { memberOfResource } from '../../stacks/cell-plan.js';
import type { CellName, MemberName, ServerId } from '../pool/model.js';
import { associationType, instanceType, nameOfUrn, typeOfUrn } from './deployment.js';
import type { AddressesByNetwork, EngineEvent } from './port.js';

const instanceOutputs = z.object({
  networks: z
    .array(
      z.object({
        name: z.string().default(''),
        fixedIpV4: z.string().default(''),
        fixedIpV6: z.string().default(''),
      }),
    )
    .default([]),
});
const associationOutputs = z.object({ floatingIp: z.string().min(1), fixedIp: z.string().default('') });

interface Made {
  readonly serverId: ServerId;
  readonly addresses: AddressesByNetwork;
}

/**
 * Turns Pulumi's event stream of one `up` into what the service wants to know, at once. A failure's words come
 * in a diagnostic of its own, before or after the step is reported as failed: whichever is second completes it.
 */
export class EventTranslator {
  private readonly made = new Map<MemberName, Made>();
  private readonly words = new Map<string, string[]>();
  private readonly failed = new Map<string, automation.OpType>();
  private readonly general: string[] = [];

  constructor(
    private readonly cell: CellName,
    private readonly emit: (event: EngineEvent) => void,
  ) {}

  take(event: automation.EngineEvent): void {
    if (event.resOutputsEvent !== undefined) {
      this.done(event.resOutputsEvent.metadata);
    }
    if (event.resOpFailedEvent !== undefined) {
      const { urn, op } = event.resOpFailedEvent.metadata;
      this.failed.set(urn, op);
      this.reportFailure(urn);
    }
    if (event.diagnosticEvent?.severity === 'error') {
      this.diagnostic(event.diagnosticEvent.urn ?? '', plain(event.diagnosticEvent.message));
    }
  }

  /** Reports failures whose words never came, and returns the errors that belong to no member. */
  finish(): readonly string[] {
    for (const urn of [...this.failed.keys()]) {
      this.reportFailure(urn, 'Pulumi gave no reason');
    }
    return this.general;
  }

  /** All errors by the member that they belong to, for the result's message. */
  failures(): readonly string[] {
    return [...this.words].map(([urn, words]) => `${nameOfUrn(urn)}: ${words.join('; ')}`);
  }

  private done(metadata: automation.StepEventMetadata): void {
    const { urn, op } = metadata;
    const name = nameOfUrn(urn);
    const type = typeOfUrn(urn);
    if (type === instanceType && op === 'delete') {
      this.emit({ type: 'removed', cell: this.cell, member: name as MemberName });
      return;
    }
    if (op !== 'create') {
      return;
    }
    const member = memberOfResource(name);
    const state = metadata.new;
    if (member === null || state === undefined) {
      return;
    }
    if (type === instanceType) {
      const outputs = instanceOutputs.safeParse(state.outputs);
      this.report(member, {
        serverId: state.id as ServerId,
        addresses: outputs.success ? fixedAddresses(outputs.data.networks) : {},
      });
    } else if (type === associationType) {
      const outputs = associationOutputs.safeParse(state.outputs);
      const before = this.made.get(member);
      if (outputs.success && before !== undefined) {
        this.report(member, withFloating(before, outputs.data.fixedIp, outputs.data.floatingIp));
      }
    }
  }

  private report(member: MemberName, made: Made): void {
    this.made.set(member, made);
    this.emit({ type: 'created', cell: this.cell, member, ...made });
  }

  private diagnostic(urn: string, words: string): void {
    if (urn === '' || typeOfUrn(urn) === 'pulumi:pulumi:Stack') {
      if (words !== 'update failed') {
        this.general.push(words);
      }
      return;
    }
    this.words.set(urn, [...new Set([...(this.words.get(urn) ?? []), words])]);
    this.reportFailure(urn);
  }

  private reportFailure(urn: string, otherwise?: string): void {
    const op = this.failed.get(urn);
    const message = this.words.get(urn)?.join('; ') ?? otherwise;
    if (op === undefined || message === undefined) {
      return;
    }
    this.failed.delete(urn);
    const member = memberOfResource(nameOfUrn(urn));
    if (member === null) {
      this.general.push(`${nameOfUrn(urn)}: ${message}`);
    } else if (op === 'delete') {
      this.emit({ type: 'removeFailed', cell: this.cell, member, message });
    } else {
      this.emit({ type: 'createFailed', cell: this.cell, member, message });
    }
  }
}

const fixedAddresses = (networks: z.output<typeof instanceOutputs>['networks']): AddressesByNetwork => {
  const addresses: Record<string, string[]> = {};
  for (const { name, fixedIpV4, fixedIpV6 } of networks) {
    const found = [fixedIpV4, fixedIpV6.replace(/^\[|\]$/g, '')].filter((address) => address !== '');
    addresses[name] = [...(addresses[name] ?? []), ...found];
  }
  return addresses;
};

const withFloating = ({ serverId, addresses }: Made, fixed: string, floating: string): Made => {
  const inside = Object.entries(addresses).find(([, list]) => list.includes(fixed)) ?? Object.entries(addresses)[0];
  const network = inside?.[0] ?? '';
  return { serverId, addresses: { ...addresses, [network]: [...(inside?.[1] ?? []), floating] } };
};

/**
 * Pulumi's colour marks (`<{%fg 1%}>`) and blank lines are for terminals, and the provider says each error
 * twice: with the place in its own code before it, and as a list of one.
 */
const plain = (message: string): string =>
  message
    .replace(/<\{%[^%]*%\}>/g, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ')
    .replace(/^sdk-v2\/provider2?\.go:\d+: sdk\.helper_schema: /, '')
    .replace(/: provider=[a-z]+@[\w.-]+$/, '')
    .replace(/^1 error occurred: \* /, '');
