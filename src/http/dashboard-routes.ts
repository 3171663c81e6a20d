import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { repoRoot } from '../repo-root.js';
import { route, type Route } from './route.js';

const file = (path: string, name: string, type: string, what: string): Route => {
  let text: string | null = null;
  return route({
    method: 'GET',
    path,
    roles: [],
    summary: what,
    produces: `${type}; charset=utf-8`,
    answers: { 200: z.string() },
    handle: () => ({
      status: 200,
      body: (text ??= readFileSync(join(repoRoot, 'dist', 'dashboard', name), 'utf8')),
    }),
  });
};

/**
 * The dashboard's own files. Open to everyone: there is nothing of the pool in them, which the page asks for with
 * the token that its user types in.
 */
export const dashboardRoutes: readonly Route[] = [
  file('/', 'index.html', 'text/html', 'The dashboard, a page for people.'),
  file('/dashboard.js', 'dashboard.js', 'text/javascript', "The dashboard's program."),
  file('/dashboard.css', 'dashboard.css', 'text/css', "The dashboard's looks."),
];
