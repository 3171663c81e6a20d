import type { MemberView } from '../../http/api.js';
import { ageAndProbe, sentence, since } from '../model.js';
import { make, setText } from './page.js';

/** From so many VMs on a tile is a small square: its letter, colour and name tell, its panel says the rest. */
const manyFrom = 150;

interface Tile {
  readonly item: HTMLLIElement;
  readonly button: HTMLButtonElement;
  readonly name: HTMLElement;
  readonly second: HTMLElement;
  readonly third: HTMLElement;
  readonly fourth: HTMLElement;
}

/** One tile for each VM, kept by name: what does not change is not touched. One tab stop; arrow keys move in it. */
export class Tiles {
  private readonly tiles = new Map<string, Tile>();
  private current: string | null = null;

  constructor(
    private readonly list: HTMLUListElement,
    private readonly open: (name: string) => void,
  ) {
    list.addEventListener('keydown', (event) => {
      this.move(event);
    });
    list.addEventListener('focusin', (event) => {
      if (event.target instanceof HTMLButtonElement) this.makeCurrent(event.target.dataset['vm'] ?? null);
    });
  }

  show(members: readonly MemberView[], total: number, now: number): void {
    const many = total >= manyFrom;
    this.list.classList.toggle('many', many);
    const names = new Set(members.map(({ name }) => name));
    for (const [name, tile] of this.tiles) {
      if (names.has(name)) continue;
      tile.item.remove();
      this.tiles.delete(name);
    }
    let at = this.list.firstElementChild;
    for (const member of members) {
      const tile = this.tiles.get(member.name) ?? this.add(member.name);
      if (tile.item === at) at = at.nextElementSibling;
      else this.list.insertBefore(tile.item, at);
      fill(tile, member, many, now);
    }
    if (this.current === null || !names.has(this.current)) this.makeCurrent(members[0]?.name ?? null);
  }

  private add(vm: string): Tile {
    const [name, second, third, fourth] = [make('b'), make('span'), make('span'), make('span')];
    const button = make(
      'button',
      { type: 'button', 'data-vm': vm, tabindex: '-1' },
      name,
      second,
      third,
      fourth,
    );
    button.addEventListener('click', () => {
      this.open(vm);
    });
    const tile = { item: make('li', {}, button), button, name, second, third, fourth };
    this.tiles.set(vm, tile);
    return tile;
  }

  private makeCurrent(name: string | null): void {
    this.tiles.get(this.current ?? '')?.button.setAttribute('tabindex', '-1');
    this.current = name;
    this.tiles.get(name ?? '')?.button.setAttribute('tabindex', '0');
  }

  private move(event: KeyboardEvent): void {
    const buttons = [...this.list.querySelectorAll('button')];
    const at = buttons.findIndex((button) => button === document.activeElement);
    if (at === -1) return;
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(' ').length;
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -at,
      End: buttons.length - 1 - at,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    buttons[Math.min(buttons.length - 1, Math.max(0, at + step))]?.focus();
  }
}

const letter = { Free: 'F', Busy: 'B', Unusable: 'U' } as const;

function fill(tile: Tile, member: MemberView, many: boolean, now: number): void {
  const label = sentence(member, now);
  tile.button.className = `tile ${member.state.toLowerCase()}`;
  if (tile.button.title !== label) tile.button.title = label;
  tile.second.hidden = tile.third.hidden = tile.fourth.hidden = many;
  if (many) {
    // A square says only its letter: its name has to be said. A whole tile is named by its own text.
    tile.button.setAttribute('aria-label', label);
    setText(tile.name, letter[member.state]);
    return;
  }
  tile.button.removeAttribute('aria-label');
  setText(tile.name, member.name);
  setText(tile.second, `${member.reason ?? member.state} for ${since(member.since, now)}`);
  setText(tile.third, member.job === null ? member.detail : `job ${member.job.id} of ${member.job.user}`);
  setText(tile.fourth, ageAndProbe(member, now));
}
