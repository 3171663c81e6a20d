import type { z } from 'zod';
import { configAnswer, configOrder, scaleOrder } from './config-api.js';
import { route, valueOf, type Route } from './route.js';

/** Changes of the pool stack's config, for operators and pipelines that do not reach its backend. */
export const configRoutes: readonly Route[] = [
  route<z.output<typeof scaleOrder>>({
    method: 'POST',
    path: '/v1/pool/scale',
    roles: ['operator'],
    summary: "Changes min, max and spare in the pool stack's config, brings the stack up and adopts it.",
    body: scaleOrder,
    refusals: ['conflict', 'unavailable'],
    answers: { 200: configAnswer },
    handle: async ({ service, identity, body: { min, max, spare, reason, dryRun } }) => {
      const sizes = Object.entries({ min, max, spare }).flatMap(([key, value]): [string, number][] =>
        value === undefined ? [] : [[key, value]],
      );
      const change = { kind: 'scale', sizes: Object.fromEntries(sizes) } as const;
      return {
        status: 200,
        body: valueOf(await service.changeConfig({ change, reason, dryRun, who: identity?.name ?? '' })),
      };
    },
  }),
  route<z.output<typeof configOrder>>({
    method: 'POST',
    path: '/v1/pool/config',
    roles: ['operator'],
    summary: "Brings the pool's stack up with this config and adopts it.",
    body: configOrder,
    // The user data alone may be 48 KiB.
    bodyBytes: 512 * 1024,
    refusals: ['conflict', 'unavailable'],
    answers: { 200: configAnswer },
    handle: async ({ service, identity, body: { config, overwrite, reason, dryRun } }) => ({
      status: 200,
      body: valueOf(
        await service.changeConfig({
          change: { kind: 'apply', config, overwrite },
          reason,
          dryRun,
          who: identity?.name ?? '',
        }),
      ),
    }),
  }),
];
