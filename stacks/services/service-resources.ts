import { local } from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import { hostCommand, placeOf } from './host.js';
import { hostScript } from './host-script.js';
import { planService, serviceStackName } from './registry.js';
import type { ServiceConfig } from './service-config.js';

/** A member as this service has it: nothing but a name in the stack, so that a preview shows who comes and goes. */
class FollowedHost extends pulumi.ComponentResource {
  constructor(name: string, options: pulumi.ComponentResourceOptions) {
    super('vmpool:services:Host', name, {}, options);
    this.registerOutputs();
  }
}

/** Longest run of one update on the service's host: waiting for another, four hooks, the connection. */
const limitOf = (hookLimitSeconds: number): string => `${String(4 * hookLimitSeconds + 120)}s`;

/** The resources of a service's stack: one command on its host, and what it follows by name. */
export const registerService = (config: ServiceConfig): Record<string, unknown> => {
  const { settings, input } = config;
  const id = serviceStackName(input.pool, config.service);
  const plan = planService(settings, input, id);
  const place = placeOf(settings.host, settings.stateDir);
  const limit = limitOf(plan.hookLimitSeconds);
  const command = new local.Command(
    'host',
    {
      create: hostCommand(settings.host, 'apply'),
      delete: hostCommand(settings.host, 'remove'),
      stdin: hostScript(plan, { id, stateDir: settings.stateDir, place }),
      environment: { VMPOOL_ATTEMPT: config.attempt },
      triggers: [place],
      addPreviousOutputInEnv: false,
      logging: 'none',
    },
    { customTimeouts: { create: limit, update: limit, delete: limit } },
  );
  // After the command: a member is in the state only when its service knows it.
  for (const member of input.members) new FollowedHost(member.name, { dependsOn: command });
  return { service: config.service, members: input.members.map(({ name }) => name), attempt: config.attempt };
};
