import type { EventView, StatusView, TrendPoint } from '../../http/api.js';
import { chartOf } from '../chart.js';
import {
  cellWords,
  filtered,
  poolRows,
  serviceLag,
  serviceReasons,
  shownStates,
  span,
  summary,
  waits,
  type Filter,
} from '../model.js';
import { element, fillRows, make, setText, shape } from './page.js';
import { Panel, type Calls } from './panel.js';
import { Tiles } from './tiles.js';

export interface Shown {
  readonly status: StatusView;
  readonly events: readonly EventView[];
  readonly trend: readonly TrendPoint[];
  readonly mayOrder: boolean;
  /** By the service's clock. */
  readonly now: number;
}

/** Everything below the sign-in. Draws what it is given; knows nothing of the network. */
export class View {
  private shown: Shown | null = null;
  private readonly panel: Panel;
  private readonly tiles: Tiles;
  private readonly search = element('search', HTMLInputElement);
  private readonly state = element('state', HTMLSelectElement);

  constructor(calls: Calls) {
    this.panel = new Panel(calls);
    this.tiles = new Tiles(element('vms', HTMLUListElement), (name) => {
      const member = this.shown?.status.members.find((one) => one.name === name);
      if (this.shown !== null && member !== undefined)
        this.panel.open(member, this.shown.mayOrder, this.shown.now);
    });
    const again = (): void => {
      if (this.shown !== null) this.draw(this.shown);
    };
    this.search.addEventListener('input', again);
    this.state.addEventListener('change', again);
    element('filter', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
    });
  }

  clear(): void {
    this.shown = null;
    this.panel.close();
    this.tiles.show([], 0, 0);
    for (const id of ['counts', 'problems', 'pools', 'requests', 'cells', 'services', 'events', 'chart']) {
      const target = element(id, Element);
      target.replaceChildren();
      if (target instanceof HTMLElement) delete target.dataset['shown'];
    }
  }

  draw(shown: Shown): void {
    this.shown = shown;
    const { status, events, now } = shown;
    setText(element('pool', HTMLElement), status.pool);
    setText(element('summary', HTMLElement), summary(status));
    drawCounts(status);
    drawProblems(status.problems);
    drawChart(shown);
    this.drawTiles(shown);
    fillRows(
      element('requests', HTMLElement),
      status.requests.map((r) => [String(r.position ?? ''), r.job, r.worker, waits(r, now), r.detail]),
      'Nothing waits.',
      5,
    );
    fillRows(
      element('cells', HTMLElement),
      status.cells.map((cell) => [cell.stack, String(cell.members), cellWords(cell)]),
      'There is no cell yet.',
      3,
    );
    const pools = poolRows(status);
    element('pools-section', HTMLElement).hidden = pools.length === 0;
    fillRows(element('pools', HTMLElement), pools, 'There is one pool.', 4);
    element('services-section', HTMLElement).hidden = status.services.length === 0;
    fillRows(
      element('services', HTMLElement),
      status.services.map((service) => [
        service.name,
        service.type,
        String(service.hosts),
        serviceLag(service, now),
        serviceReasons(service, now),
      ]),
      'None is configured.',
      5,
    );
    drawEvents(events, now);
    const open = this.panel.shows();
    if (open !== null) {
      const member = status.members.find(({ name }) => name === open) ?? null;
      this.panel.update(member, shown.mayOrder, now);
    }
  }

  private drawTiles({ status, now }: Shown): void {
    const state = shownStates.find((one) => one === this.state.value) ?? null;
    const filter: Filter = { state, text: this.search.value };
    const members = filtered(status.members, filter);
    this.tiles.show(members, members.length, now);
    setText(
      element('shown', HTMLElement),
      members.length === status.members.length
        ? `${String(members.length)} VMs`
        : `${String(members.length)} of ${String(status.members.length)} VMs`,
    );
  }
}

function drawCounts({ counts, shape: pool, version }: StatusView): void {
  const target = element('counts', HTMLElement);
  const shown = (['free', 'busy', 'unusable', 'waiting'] as const).map((key) => [key, String(counts[key])]);
  const wanted = JSON.stringify(shown);
  if (target.dataset['shown'] !== wanted) {
    target.dataset['shown'] = wanted;
    target.replaceChildren(
      ...shown.map(([key = '', count = '']) => make('div', { class: key }, make('b', {}, count), key)),
    );
  }
  setText(
    element('shape', HTMLElement),
    pool === null
      ? `The pool has no shape yet. Version ${version}.`
      : `${String(pool.min)} to ${String(pool.max)} VMs, ${String(pool.spare)} spare; flavor ${pool.flavor}, image ${pool.image}, generation ${pool.generation}. Version ${version}.`,
  );
}

function drawProblems(problems: readonly string[]): void {
  element('problems-section', HTMLElement).hidden = problems.length === 0;
  const list = element('problems', HTMLElement);
  const wanted = JSON.stringify(problems);
  if (list.dataset['shown'] === wanted) return;
  list.dataset['shown'] = wanted;
  list.replaceChildren(...problems.map((problem) => make('li', {}, problem)));
}

const chartSize = { width: 600, height: 120 };

function drawChart({ trend, status, now }: Shown): void {
  const { free, busy, unusable, waiting } = status.counts;
  const points = [...trend, { at: new Date(now).toISOString(), free, busy, unusable, waiting }];
  const chart = chartOf(points, now, chartSize.width, chartSize.height);
  element('chart', SVGElement).replaceChildren(
    ...chart.bands.map(({ key, path }) => shape('path', { class: key, d: path })),
    shape('path', { class: 'halo', d: chart.waiting }),
    shape('path', { class: 'waiting', d: chart.waiting }),
  );
  const from = points[0]?.at ?? status.now;
  setText(
    element('chart-text', HTMLElement),
    `VMs by state (busy, free, unusable, from below) and requests waiting (line), the last ${span(now - Date.parse(from))}; at most ${String(chart.top)}.`,
  );
}

/** In the reader's own way; with the day where it is not today. */
const timeWords = (at: Date, now: Date): string =>
  at.toDateString() === now.toDateString() ? at.toLocaleTimeString() : at.toLocaleString();

function drawEvents(events: readonly EventView[], now: number): void {
  const list = element('events', HTMLElement);
  const wanted = `${String(events[0]?.id ?? 'none')} ${new Date(now).toDateString()}`;
  if (list.dataset['shown'] === wanted) return;
  list.dataset['shown'] = wanted;
  if (events.length === 0) {
    list.replaceChildren(make('li', { class: 'note' }, 'Nothing has happened since the service began.'));
    return;
  }
  list.replaceChildren(
    ...events.map((event) =>
      make(
        'li',
        {},
        make('time', { datetime: event.at }, timeWords(new Date(event.at), new Date(now))),
        ` ${event.vm ?? ''} ${event.job === null ? '' : `job ${event.job} `}${event.detail}`,
      ),
    ),
  );
}
