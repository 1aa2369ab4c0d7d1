/** Finding and making elements, and numbers as people read them. */

export function byId<Type extends HTMLElement>(id: string, type: new () => Type): Type {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page lacks #${id}`);
  return found;
}

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  ...content: (string | Node)[]
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  if (className !== '') node.className = className;
  node.append(...content);
  return node;
}

/** A button that reads like a part of the text around it. */
export function linkButton(text: string, press: () => void): HTMLButtonElement {
  const button = element('button', 'link', text);
  button.type = 'button';
  button.addEventListener('click', press);
  return button;
}

/** Shows in `place` what went wrong; without an error, nothing. */
export function showProblem(place: HTMLElement, error?: unknown): void {
  place.hidden = error === undefined;
  place.textContent = error === undefined ? '' : error instanceof Error ? error.message : String(error);
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

export function bytes(count: number): string {
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${Math.ceil(count / 1e3)} kB`;
}

export function milliseconds(duration: number): string {
  return duration >= 10_000 ? `${(duration / 1000).toFixed(1)} s` : `${duration.toFixed(duration < 10 ? 1 : 0)} ms`;
}

/** Of small ones two digits count: several words together are seldom likely. */
export function percent(probability: number): string {
  const share = 100 * probability;
  if (share < 0.001) return 'below 0.001 %';
  return `${share >= 10 ? share.toFixed(1) : share.toPrecision(2)} %`;
}
