import type { z } from 'zod';
import { poolQuery, type PoolQuery } from './class-api.js';
import { configAnswer, configOrder, scaleOrder } from './config-api.js';
import { route, servedPool, valueOf, whoOf, type Route } from './route.js';

/** Changes of the pool stack's config, for operators and pipelines that do not reach its backend. */
export const configRoutes: readonly Route[] = [
  route<z.output<typeof scaleOrder>, PoolQuery>({
    method: 'POST',
    path: '/v1/pool/scale',
    roles: ['operator'],
    summary: "Changes min, max and spare in the pool stack's config, brings the stack up and adopts it.",
    body: scaleOrder,
    query: poolQuery,
    refusals: ['conflict', 'not-found', 'unavailable'],
    answers: { 200: configAnswer },
    handle: async (call) => {
      const { min, max, spare, reason, dryRun } = call.body;
      const sizes = Object.entries({ min, max, spare }).flatMap(([key, value]): [string, number][] =>
        value === undefined ? [] : [[key, value]],
      );
      const change = { kind: 'scale', sizes: Object.fromEntries(sizes) } as const;
      return {
        status: 200,
        body: valueOf(await servedPool(call).changeConfig({ change, reason, dryRun, who: whoOf(call) })),
      };
    },
  }),
  route<z.output<typeof configOrder>, PoolQuery>({
    method: 'POST',
    path: '/v1/pool/config',
    roles: ['operator'],
    summary: "Brings the pool's stack up with this config and adopts it.",
    body: configOrder,
    // The user data alone may be 48 KiB.
    bodyBytes: 512 * 1024,
    query: poolQuery,
    refusals: ['conflict', 'not-found', 'unavailable'],
    answers: { 200: configAnswer },
    handle: async (call) => {
      const { config, overwrite, reason, dryRun } = call.body;
      const change = { kind: 'apply', config, overwrite } as const;
      return {
        status: 200,
        body: valueOf(await servedPool(call).changeConfig({ change, reason, dryRun, who: whoOf(call) })),
      };
    },
  }),
];
