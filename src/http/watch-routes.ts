import { z } from 'zod';
import { eventView, problemCodes, trendPoint } from './api.js';
import { poolQuery } from './class-api.js';
import { HttpProblem } from './problem.js';
import { route, servedPool, type Route } from './route.js';
import { watchStream } from './watch-stream.js';

const eventsQuery = poolQuery.extend({
  after: z
    .string()
    .regex(/^[0-9]{1,15}$/, 'the number of an event')
    .transform(Number)
    .prefault('0')
    .describe('Only events after the one with this number.'),
});

const watchQuery = poolQuery.extend({
  for: z
    .string()
    .regex(/^[0-9]{1,5}$/, 'seconds, such as 600')
    .transform(Number)
    .prefault('0')
    .describe('Seconds after which the stream ends; 0 ends it after the whole status was sent.'),
});

/** The document's version of OpenAPI has the schema of an event stream describe each of its events. */
const streamed = z.object({
  event: z.enum(['status', 'event']),
  data: z.string().describe('JSON: of `status` the whole status or what changed in it, of `event` an event.'),
});

/** What the pool does, for those who look at it. */
export const watchRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/events',
    roles: ['operator', 'viewer'],
    summary:
      'The last events of the pool, oldest first. The service keeps a few hundred; all are in its history files.',
    query: eventsQuery,
    answers: { 200: z.object({ events: z.array(eventView) }) },
    refusals: ['not-found'],
    handle: (call) => ({
      status: 200,
      body: { events: servedPool(call).events(call.query.after) },
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/trend',
    roles: ['operator', 'viewer'],
    summary: 'How the numbers of VMs and waiting requests went since the service started.',
    query: poolQuery,
    refusals: ['not-found'],
    answers: { 200: z.object({ points: z.array(trendPoint) }) },
    handle: (call) => ({ status: 200, body: { points: servedPool(call).trend() } }),
  }),
  route({
    method: 'GET',
    path: '/v1/watch',
    roles: ['operator', 'viewer'],
    summary:
      'The pool as server-sent events: `status` (first whole, then what changed) and `event` (as in `/v1/events`).',
    query: watchQuery,
    produces: 'text/event-stream; charset=utf-8',
    answers: { 200: streamed },
    refusals: ['not-found'],
    handle: (call) => {
      const { identity, query, signal } = call;
      const role = identity?.role;
      if (role !== 'operator' && role !== 'viewer') {
        throw new HttpProblem(problemCodes.forbidden, 'Only an operator or a viewer can watch the pool.');
      }
      return {
        status: 200,
        // A proxy that gathers an answer before it passes it on would show nothing.
        headers: { 'X-Accel-Buffering': 'no' },
        body: watchStream(servedPool(call), role, query.for * 1000, signal()),
      };
    },
  }),
];
