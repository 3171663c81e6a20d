import { formatConfigErrors, loadConfig } from '../../config/load.js';
import { errorText } from '../../store/files.js';
import type { AccessOptions } from '../access.js';
import { configFileOf, type ConfigOptions } from '../configured.js';
import { configOfPool, poolsOf } from '../../config/of-pool.js';
import type { World } from '../world.js';
import {
  checkCredentials,
  checkFlavor,
  checkImage,
  checkNetworks,
  checkQuota,
  checkSharedQuota,
} from './cloud-checks.js';
import { findingsOf, type Finding, type Verdict } from './finding.js';
import {
  checkAdminKey,
  checkBackend,
  checkEngine,
  checkHooks,
  checkPoolStack,
  checkStore,
} from './local-checks.js';
import { checkGuest, checkService } from './running-checks.js';
import { openSubject, type Subject } from './subject.js';

/** Every check in the order in which an operator would put things right. None keeps a later one from running. */
const checks: readonly (readonly [
  string,
  (subject: Subject, options: AccessOptions, world: World) => Promise<Verdict>,
])[] = [
  ['store', checkStore],
  ['engine', checkEngine],
  ['backend', checkBackend],
  ['credentials', checkCredentials],
  ['pool stack', checkPoolStack],
  ['flavor', checkFlavor],
  ['image', checkImage],
  ['networks', checkNetworks],
  ['quota', checkQuota],
  ['admin key', checkAdminKey],
  ['service', checkService],
  ['guest', checkGuest],
  ['hooks', checkHooks],
];

/** Runs every check and tells each finding as it comes. Never rejects for what is not in order. */
export const runChecks = async (
  options: ConfigOptions & AccessOptions,
  world: World,
  tell: (finding: Finding) => void,
): Promise<readonly Finding[]> => {
  const all: Finding[] = [];
  const add = (what: string, verdict: Verdict): void => {
    for (const found of findingsOf(what, verdict)) {
      // What one broken part does to all that build on it is told once.
      const first = all.find(({ result, text }) => result === 'fail' && text === found.text);
      const finding =
        first === undefined ? found : { ...found, text: `not looked at: see ${first.what} above` };
      all.push(finding);
      tell(finding);
    }
  };
  const file = configFileOf(options, world.env);
  const loaded = loadConfig(file, world.env);
  if (!loaded.ok) {
    add('config', { faults: formatConfigErrors(file, loaded.errors).split('\n') });
    // What needs no configuration is looked at all the same.
    add('engine', await verdictOf(checkEngine));
    add('hooks', await verdictOf(checkHooks));
    return all;
  }
  add('config', { ok: file });
  const names = poolsOf(loaded.config);
  if (options.pool !== undefined && !names.includes(options.pool)) {
    add('config', { faults: [`there is no pool ${options.pool}; there is ${names.join(', ')}`] });
    return all;
  }
  const looked = options.pool === undefined ? names : [options.pool];
  const subjects = looked.map((pool) => openSubject(configOfPool(loaded.config, pool), world.env));
  try {
    for (const [at, subject] of subjects.entries()) {
      for (const [what, check] of checks) {
        const own = names.length > 1 && ofOnePool.has(what);
        if (at > 0 && !own) continue;
        const name = own ? `${subject.config.pool}: ${what}` : what;
        add(name, await verdictOf(() => check(subject, options, world)));
      }
    }
    if (subjects.length > 1) add('shared quota', await verdictOf(() => checkSharedQuota(subjects)));
  } finally {
    for (const subject of subjects) subject.close();
  }
  return all;
};

/** Checks of what each of several pools has for itself. */
const ofOnePool: ReadonlySet<string> = new Set([
  ...['store', 'pool stack', 'flavor', 'image', 'networks', 'quota', 'admin key', 'guest'],
]);

const verdictOf = async (check: () => Promise<Verdict>): Promise<Verdict> => {
  try {
    return await check();
  } catch (error) {
    return { faults: [errorText(error)] };
  }
};
