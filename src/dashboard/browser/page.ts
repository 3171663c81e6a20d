/** The element with that id, of that kind. Throws when the page is not the one this program belongs to. */
export function element<T extends Element>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${kind.name} #${id}`);
}

type Child = Node | string;

/** A new element. Text becomes text nodes: what comes from the pool is never read as HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function shape(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Writes only what differs, so that a reader's selection and a screen reader are left alone. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Table rows of text; one row with a remark when there are none. */
export function fillRows(
  body: HTMLElement,
  rows: readonly (readonly string[])[],
  none: string,
  columns: number,
): void {
  const wanted = JSON.stringify([rows, none]);
  if (body.dataset['shown'] === wanted) return;
  body.dataset['shown'] = wanted;
  body.replaceChildren(
    ...(rows.length === 0
      ? [make('tr', {}, make('td', { colspan: String(columns), class: 'note' }, none))]
      : rows.map((cells) => make('tr', {}, ...cells.map((cell) => make('td', {}, cell))))),
  );
}
