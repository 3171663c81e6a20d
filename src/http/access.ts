import type { Role } from './authenticate.js';
import type { Route } from './route.js';

/** Everybody who can call: the roles, and whoever has no token that is known. */
export const callers = ['worker', 'capability', 'operator', 'viewer', 'nobody'] as const;
export type Caller = (typeof callers)[number];

/** `own`: only what belongs to the caller; anything else looks as if it were not there. */
export type Access = 'yes' | 'own' | 'no';

const isRole = (caller: Caller): caller is Role => caller !== 'nobody';

/** What that caller may do with a route. A route that names no roles is open to all. */
export const accessTo = (route: Pick<Route, 'roles' | 'ownOnly'>, caller: Caller): Access => {
  if (route.roles.length === 0) return 'yes';
  if (!isRole(caller) || !route.roles.includes(caller)) return 'no';
  return route.ownOnly.includes(caller) ? 'own' : 'yes';
};

const shown: Readonly<Record<Access, string>> = { yes: 'yes', own: 'own only', no: '-' };

/** The table of who may do what as Markdown, from the table that serves the routes. */
export const accessTable = (routes: readonly Route[]): string => {
  const rows = routes.map((route) => [
    `\`${route.method} ${route.path}\``,
    ...callers.map((caller) => shown[accessTo(route, caller)]),
  ]);
  return [['call', ...callers], ['---', ...callers.map(() => '---')], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
};
