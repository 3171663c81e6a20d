import type { z } from 'zod';
import { problemCodes } from './api.js';
import { HttpProblem } from './problem.js';
import { route, servedPool, type Route } from './route.js';
import { usageQuery, usageView } from './usage-api.js';

const thirtyDays = 30 * 86_400_000;

/** Who used how much, for those who look after the pool. */
export const usageRoutes: readonly Route[] = [
  route<undefined, z.output<typeof usageQuery>>({
    method: 'GET',
    path: '/v1/usage',
    roles: ['operator', 'viewer'],
    summary:
      'Who used how much: ended leases summed by user, queue, day and so on; the last 30 days otherwise.',
    query: usageQuery,
    answers: { 200: usageView },
    refusals: ['not-found'],
    handle: async (call) => {
      const { query, signal } = call;
      const { until = Date.now(), by, user, queue } = query;
      const { since = until - thirtyDays } = query;
      if (since > until) throw new HttpProblem(problemCodes.inconsistent, 'since lies after until.');
      return { status: 200, body: await servedPool(call).usage({ since, until, by, user, queue }, signal()) };
    },
  }),
];
