import { CloudError } from './port.js';
import type { CloudErrorKind } from './port.js';
import type { HttpAnswer } from './transport.js';
import { retryAfterMs } from './retry.js';

/** Takes every known secret out of a text before it goes into an error or a log. */
export type Redact = (text: string) => string;

export function redactor(secrets: () => readonly string[]): Redact {
  return (text) => {
    let clean = text;
    for (const secret of secrets()) {
      if (secret !== '') clean = clean.split(secret).join('***');
    }
    return clean;
  };
}

/** OpenStack's own words in an error's body, whatever the service's form; '' when there are none. */
export function messageIn(text: string): string {
  let found: string;
  try {
    found = deepMessage(JSON.parse(text) as unknown, 0);
  } catch {
    // Glance and proxies answer in HTML: its title or first words are better than nothing.
    found = text.replace(/<(style|script)[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ');
  }
  const line = found.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}...` : line;
}

function deepMessage(value: unknown, depth: number): string {
  if (typeof value === 'string') return depth === 0 ? '' : value;
  if (typeof value !== 'object' || value === null || depth > 3) return '';
  const fields = value as Record<string, unknown>;
  for (const key of ['message', 'NeutronError', 'error', 'detail']) {
    if (key in fields) {
      const message = deepMessage(fields[key], depth + 1);
      if (message !== '') return message;
    }
  }
  // Nova's form: one key that names the error, around `code` and `message`.
  for (const inner of Object.values(fields)) {
    if (typeof inner !== 'object') continue;
    const message = deepMessage(inner, depth + 1);
    if (message !== '') return message;
  }
  return '';
}

function kindOf(status: number, words: string): CloudErrorKind {
  switch (status) {
    case 401:
      return 'unauthorised';
    case 403:
      // Nova and Neutron say 403 or 409 for an exhausted quota; only the words tell it apart.
      return /quota|exceeded/i.test(words) ? 'quota' : 'forbidden';
    case 404:
      return 'not-found';
    case 409:
      return /quota/i.test(words) ? 'quota' : 'conflict';
    case 413:
      return /quota/i.test(words) ? 'quota' : 'rate-limited';
    case 429:
      return 'rate-limited';
    default:
      return status >= 500 ? 'unavailable' : 'bad-answer';
  }
}

const advice: Record<CloudErrorKind, string> = {
  unauthorised: 'check the credentials (OS_* or clouds.yaml): wrong, expired or disabled',
  forbidden: 'the user lacks the right in this project: ask for the member role, or read the cloud’s policy',
  quota: 'lower the pool’s maximum or ask for more quota',
  'not-found': 'check the name or id, the project and the region',
  conflict: 'something else is at work on it: try again later',
  'rate-limited': 'the cloud asks for fewer calls: lengthen the periods of the service',
  unavailable: 'the cloud is not well: nothing to do here but wait, or tell its operators',
  'bad-answer': 'the cloud does not speak as expected: check the endpoint in its catalog',
};

/**
 * The error for an answer that is no success. `call` names it in words: "list the servers". `known`: its kind, where the
 * status alone would mislead.
 */
export function failureOf(
  call: string,
  answer: HttpAnswer,
  nowMs: number,
  redact: Redact,
  known?: CloudErrorKind,
): CloudError {
  const words = redact(messageIn(answer.text));
  const kind = known ?? kindOf(answer.status, words);
  const said = words === '' ? '' : `, saying "${words}"`;
  return new CloudError(
    kind,
    `could not ${call}: the cloud answered ${answer.status}${said}; ${advice[kind]}`,
    retryAfterMs(answer.headers['retry-after'], nowMs),
  );
}

/** The error for an answer that could not be read. */
export function unreadable(call: string, why: string): CloudError {
  return new CloudError('bad-answer', `could not ${call}: ${why}; ${advice['bad-answer']}`);
}
