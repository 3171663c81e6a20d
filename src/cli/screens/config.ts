import type { ConfigAnswer } from '../../http/config-api.js';
import { cut } from '../table.js';
import type { Paint } from '../terminal.js';

/** Characters of a value: user data would fill the screen. */
const most = 40;

const short = (value: string | null): string =>
  value === null ? 'unset' : cut(JSON.stringify(value).slice(1, -1), most);

/** What a change of the config came to: key by key, then what is to be known, then the outcome. */
export const configText = ({ detail, changes, warnings }: ConfigAnswer, paint: Paint): string =>
  [
    ...changes.map(({ key, from, to }) => `${key}  ${short(from)} ${paint('dim', '->')} ${short(to)}`),
    ...warnings.map((warning) => `${paint('yellow', 'note')}  ${warning}`),
    `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`,
  ].join('\n');
