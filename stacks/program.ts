import * as pulumi from '@pulumi/pulumi';
import { inspect } from 'node:util';
import { parseCellConfig } from './cell-config.js';
import { planCell } from './cell-plan.js';
import { registerCell } from './cell-resources.js';
import { parsePoolConfig } from './pool-config.js';
import { valueOf, type Parsed, type RawConfig } from './raw-config.js';
import { parseServiceConfig } from './services/service-config.js';
import { registerService } from './services/service-resources.js';
import { parseSummaryConfig, summaryStackName, summaryTable } from './summary.js';

/**
 * The whole Pulumi program: what the stack is, is told by `vmpool:kind`. The same function runs under the
 * plain command line and inside the service's engine process. Returns the stack's outputs.
 */
export const runStack = async (): Promise<Record<string, unknown>> => {
  const raw: RawConfig = pulumi.runtime.allConfig();
  const kind = valueOf(raw, 'kind') ?? 'pool';
  switch (kind) {
    case 'pool': {
      const { shape, services } = valid(parsePoolConfig(raw));
      await showMembers(pulumi.getStack());
      return { shape, services };
    }
    case 'cell':
      return registerCell(planCell(valid(parseCellConfig(raw))));
    case 'summary':
      return { members: valid(parseSummaryConfig(raw)) };
    case 'service':
      return registerService(valid(parseServiceConfig(raw)));
    default:
      throw new WrongConfig(`vmpool:kind: "${kind}" is none of pool, cell, summary, service`);
  }
};

/**
 * Ends the program with its message alone. Pulumi's command line inspects an error to the bottom before it drops
 * the result, which takes 17 s of a core for an error that its own runtime has annotated: so this one says at
 * once how it is to be shown.
 */
class WrongConfig extends pulumi.RunError {
  [inspect.custom](): string {
    return this.message;
  }
}

const valid = <T>(parsed: Parsed<T>): T => {
  if (!parsed.ok) {
    throw new WrongConfig(
      `The config of stack ${pulumi.getStack()} is not valid:\n${parsed.errors.map((error) => `  ${error}`).join('\n')}`,
    );
  }
  return parsed.value;
};

/**
 * Shows the members on the pool's stack as a message, not as outputs: they come and go by themselves, and a
 * pool whose shape has not changed must show no change. An invoke and no StackReference, because a summary
 * that is not there yet must not fail the stack.
 */
const showMembers = async (pool: string): Promise<void> => {
  const name = `organization/vmpool/${summaryStackName(pool)}`;
  let outputs: unknown;
  try {
    const found: unknown = await pulumi.runtime.invoke('pulumi:pulumi:readStackOutputs', { name });
    outputs = typeof found === 'object' && found !== null && 'outputs' in found ? found.outputs : undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await pulumi.log.info(
      why.includes('unknown stack')
        ? `Pool ${pool}: the service has not published any members yet.`
        : `Pool ${pool}: the members cannot be shown: ${why}`,
    );
    return;
  }
  await pulumi.log.info(summaryTable(pool, outputs));
};
