import { z } from 'zod';
import { structuredValueOf, valueOf, type Parsed, type RawConfig } from '../raw-config.js';
import { serviceInputSchema } from './plan.js';
import { serviceName, serviceSettingsSchema } from './registry.js';

/** What a service's stack config says. Only the vmpool service writes it. */
export const serviceConfigSchema = z.strictObject({
  service: serviceName,
  settings: serviceSettingsSchema,
  input: serviceInputSchema,
  /** Changes when the host has to be looked at although nothing else changed (a run was cut off, time has passed). */
  attempt: z.string(),
});
export type ServiceConfig = z.infer<typeof serviceConfigSchema>;

export const serviceConfigValues = (config: ServiceConfig): Readonly<Record<string, unknown>> => ({
  'vmpool:kind': 'service',
  'vmpool:service': config.service,
  'vmpool:settings': config.settings,
  'vmpool:input': config.input,
  'vmpool:attempt': config.attempt,
});

/** Reads a service's config. A missing list is an error and never means that there are no members. Pure. */
export const parseServiceConfig = (raw: RawConfig): Parsed<ServiceConfig> => {
  const structured = (key: string): unknown => {
    const found = structuredValueOf(raw, key);
    return found.kind === 'value' ? found.value : undefined;
  };
  const parsed = serviceConfigSchema.safeParse({
    service: valueOf(raw, 'service'),
    settings: structured('settings'),
    input: structured('input'),
    attempt: valueOf(raw, 'attempt'),
  });
  if (parsed.success) return { ok: true, value: parsed.data };
  return {
    ok: false,
    errors: [
      'this stack needs the config file that the vmpool service wrote (`vmpool env` prints where it is)',
      ...parsed.error.issues.map(({ path, message }) => `vmpool:${path.map(String).join('.')}: ${message}`),
    ],
  };
};
