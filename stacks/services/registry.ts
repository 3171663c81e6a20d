import { z } from 'zod';
import { commandSettings, planCommand } from './command.js';
import { gangliaSettings, planGanglia } from './ganglia.js';
import { nagiosSettings, planNagios } from './nagios.js';
import { ganeshaSettings, planGanesha } from './nfs-ganesha.js';
import { kernelNfsSettings, planKernelNfs } from './nfs-kernel.js';
import type { FollowedFrom, HostPlan, ServiceInput } from './plan.js';
import { planPuppet, puppetSettings } from './puppet.js';
import { planTorque, torqueSettings } from './torque.js';

/** Every kind of service, one file each. A new one is a line here and a case below. */
export const serviceSettingsSchema = z.discriminatedUnion('type', [
  commandSettings,
  gangliaSettings,
  nagiosSettings,
  ganeshaSettings,
  kernelNfsSettings,
  puppetSettings,
  torqueSettings,
]);
export type ServiceSettings = z.infer<typeof serviceSettingsSchema>;
export type ServiceType = ServiceSettings['type'];

/** A service's name is part of its stack's name and of names on its host. */
export const serviceName = z.string().regex(/^[a-z][a-z0-9-]{0,23}$/, 'is no service name (a-z, 0-9, -)');

/** By the service's name, as the pool's stack publishes them. */
export const servicesSchema = z.record(serviceName, serviceSettingsSchema);
export type Services = z.infer<typeof servicesSchema>;

/** Whether it follows the number of processors of each worker too; the others see none. */
export const followsSlots = (type: ServiceType): boolean => type === 'torque';
/** What a VM needs before its first lease follows it from its address on; a certificate belongs to one disk. */
export const followedFrom = (type: ServiceType): FollowedFrom =>
  type === 'puppet' ? 'disk' : type === 'nfs-ganesha' || type === 'nfs-kernel' ? 'address' : 'first-free';
/** Whether it follows the members. */
export const followsMembers = (type: ServiceType): boolean => type !== 'torque';

/** What has to be on the service's host for this input. `id` is the stack's name. Pure. */
export const planService = (settings: ServiceSettings, input: ServiceInput, id: string): HostPlan => {
  switch (settings.type) {
    case 'command':
      return planCommand(settings, input);
    case 'ganglia':
      return planGanglia(settings, input, id);
    case 'nagios':
      return planNagios(settings, input, id);
    case 'nfs-ganesha':
      return planGanesha(settings, input, id);
    case 'nfs-kernel':
      return planKernelNfs(settings, input, id);
    case 'puppet':
      return planPuppet(settings, input, id);
    case 'torque':
      return planTorque(settings, input);
  }
};

export const serviceStackName = (pool: string, service: string): string => `${pool}-svc-${service}`;

/**
 * Reads `vmpool:services` of a pool's stack: a map from name to settings, where a service that is named like its type
 * need not say it. Every error with its place.
 */
export const parseServices = (
  value: unknown,
):
  | { readonly ok: true; readonly value: Services }
  | { readonly ok: false; readonly errors: readonly string[] } => {
  const known = new Set<string>(serviceSettingsSchema.options.map(({ shape }) => shape.type.value));
  const map = z.record(z.string(), z.looseObject({})).safeParse(value);
  if (!map.success) return { ok: false, errors: ['is not a map from a name to the settings of a service'] };
  const whole = Object.fromEntries(
    Object.entries(map.data).map(([name, settings]) => [
      name,
      known.has(name) ? { type: name, ...settings } : settings,
    ]),
  );
  const parsed = servicesSchema.safeParse(whole);
  return parsed.success
    ? { ok: true, value: parsed.data }
    : {
        ok: false,
        errors: parsed.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`),
      };
};
