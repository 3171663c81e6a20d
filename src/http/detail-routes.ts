import { z } from 'zod';
import { memberName, problemCodes } from './api.js';
import { consoleView, historyEntry, historyQuery, memberDetail } from './detail-api.js';
import { planView } from './plan-api.js';
import { poolQuery } from './class-api.js';
import { HttpProblem } from './problem.js';
import { route, servedPool, valueOf, type Route } from './route.js';

/** Closer looks at one VM or one job, for those who look after the pool. */
export const detailRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/members/:name',
    roles: ['operator', 'viewer'],
    summary: 'One VM whole: its spec, its server, how it is reached, its hold and its lease.',
    params: { name: memberName },
    answers: { 200: memberDetail },
    handle: ({ service, params }) => {
      const { name = '' } = params;
      const body = service.member(name);
      if (body === null)
        throw new HttpProblem(
          problemCodes.notFound,
          `There is no VM ${name} in this pool; /v1/history may know of it.`,
        );
      return { status: 200, body };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/members/:name/console',
    // It shows whatever a job wrote to it.
    roles: ['operator'],
    summary: "The end of a VM's console log, as the cloud has it now.",
    params: { name: memberName },
    refusals: ['conflict'],
    answers: { 200: consoleView },
    handle: async ({ service, params, signal }) => ({
      status: 200,
      body: valueOf(await service.console(params['name'] ?? '', signal())),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/plan',
    roles: ['operator', 'viewer'],
    summary:
      'What is to be done in the cloud, cell by cell, each VM with the reason; while changes are paused, also what would be decided if they went on now.',
    query: poolQuery,
    refusals: ['not-found'],
    answers: { 200: planView },
    handle: (call) => ({ status: 200, body: servedPool(call).plan() }),
  }),
  route({
    method: 'GET',
    path: '/v1/history',
    roles: ['operator', 'viewer'],
    summary:
      "What is written in the service's history files, oldest first: of one VM, of one job, or the newest of all.",
    query: historyQuery,
    refusals: ['not-found'],
    answers: { 200: z.object({ entries: z.array(historyEntry) }) },
    handle: async (call) => ({
      status: 200,
      body: { entries: await servedPool(call).history(call.query, call.signal()) },
    }),
  }),
];
