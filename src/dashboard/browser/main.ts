import type { EventView, StatusView, TrendPoint } from '../../http/api.js';
import { withEvent } from '../model.js';
import { sleep } from '../../sleep.js';
import { patched } from '../status-patch.js';
import { Api, Refused } from './api.js';
import { element, setText } from './page.js';
import { View } from './view.js';

const tokenKey = 'vmpool-token';
/** Ages go on while nothing happens. */
const redrawMs = 5_000;
const trendMs = 30_000;
const retryMs = [1_000, 2_000, 5_000, 10_000];

const connection = element('connection', HTMLElement);
const refusal = element('refusal', HTMLElement);
const signIn = element('sign-in', HTMLFormElement);
const signOut = element('sign-out', HTMLButtonElement);
const token = element('token', HTMLInputElement);
const main = element('pool-view', HTMLElement);

let session: { readonly api: Api; readonly end: AbortController } | null = null;
const signedIn = (): Promise<Api> =>
  session === null ? Promise.reject(new Error('Sign in first.')) : Promise.resolve(session.api);
const view = new View({
  give: async (vm, order, reason) => (await signedIn()).order(vm, order, reason),
  usageOn: async (vm) => (await signedIn()).usageOn(vm),
});

function tell(state: 'live' | 'lost' | 'out', text: string): void {
  connection.dataset['state'] = state;
  setText(connection, text);
}

function leave(why: string): void {
  session?.end.abort();
  session = null;
  sessionStorage.removeItem(tokenKey);
  view.clear();
  main.hidden = true;
  signOut.hidden = true;
  signIn.hidden = false;
  tell('out', 'not signed in');
  setText(refusal, why);
  token.focus();
}

async function show(secret: string): Promise<void> {
  const api = new Api(secret);
  const end = new AbortController();
  session = { api, end };
  const { signal } = end;
  let status: StatusView | null = null;
  let mayOrder = false;
  let events: readonly EventView[] = [];
  let trend: readonly TrendPoint[] = [];
  /** Between the service's clock and this machine's, milliseconds. */
  let ahead = 0;
  let failures = 0;
  const draw = (): void => {
    if (status !== null && !signal.aborted)
      view.draw({ status, events, trend, mayOrder, now: Date.now() + ahead });
  };
  const lookAtTrend = (): void => {
    api.trend(signal).then(
      (points) => {
        trend = points;
        draw();
      },
      () => undefined, // the stream tells that the service is away
    );
  };
  const timers = [setInterval(draw, redrawMs), setInterval(lookAtTrend, trendMs)];
  signal.addEventListener('abort', () => {
    for (const timer of timers) clearInterval(timer);
  });
  lookAtTrend();
  while (!signal.aborted) {
    try {
      await api.watch(
        {
          status: (message) => {
            failures = 0;
            if (message.kind === 'whole') {
              status = message.status;
              mayOrder = message.role === 'operator';
              events = [];
              sessionStorage.setItem(tokenKey, secret);
              signIn.hidden = true;
              main.hidden = false;
              signOut.hidden = false;
              setText(refusal, '');
              tell('live', mayOrder ? 'live, as operator' : 'live, as viewer');
            } else if (status !== null) status = patched(status, message.patch);
            if (status !== null) ahead = Date.parse(status.now) - Date.now();
            draw();
          },
          event: (event) => {
            events = withEvent(events, event);
            draw();
          },
        },
        signal,
      );
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status !== 503) {
        leave(error.message);
        return;
      }
      const why = error instanceof Error ? error.message : String(error);
      tell('lost', `connection lost, trying again (${why})`);
      await sleep(retryMs[Math.min(failures, retryMs.length - 1)] ?? 10_000, signal);
      failures += 1;
    }
  }
}

signIn.addEventListener('submit', (event) => {
  event.preventDefault();
  const secret = token.value.trim();
  token.value = '';
  if (secret === '') return;
  setText(refusal, '');
  tell('out', 'signing in');
  void show(secret);
});
signOut.addEventListener('click', () => {
  leave('');
});

const kept = sessionStorage.getItem(tokenKey);
if (kept !== null) void show(kept);
else token.focus();
