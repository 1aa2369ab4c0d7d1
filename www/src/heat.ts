/** The heat map: words on colours, and the numbers of the one that is pointed at, by pointer or arrow keys. */
import { byId, element, linkButton, percent } from './dom';

export interface Word {
  /** In the note. */
  start: number;
  end: number;
  text: string;
  /** −ln of the probability that the model gives it. */
  nats: number;
  /** The text that it was read in, and where it begins there. */
  context: string;
  at: number;
}

/** Upper ends of the steps of the scale, in nats; style/results.css has a colour for each and one above. */
const STEPS = [1, 2, 4, 6, 8, 10];

const heat = byId('heat', HTMLElement);
const scale = byId('heat-steps', HTMLElement);
const readout = byId('heat-word', HTMLElement);

let words: Word[] = [];
let spans: HTMLElement[] = [];
let current = 0;
let askFor: (word: Word) => void = () => undefined;

/** `fill` is called when somebody asks what the model would put in a word's place. */
export function startHeat(fill: (word: Word) => void): void {
  askFor = fill;
  const names = [...STEPS, Infinity].map((most, step) => (step === 0 ? `under ${most}` : most === Infinity ? `over ${STEPS[step - 1]}` : `to ${most}`));
  scale.append(...names.map((name, step) => element('span', `heat-${step}`, name)));
  for (const kind of ['pointerover', 'pointerdown'] as const) {
    heat.addEventListener(kind, ({ target }) => {
      const index = target instanceof HTMLElement ? spans.indexOf(target) : -1;
      if (index >= 0) point(index);
    });
  }
  heat.addEventListener('focus', () => point(current));
  heat.addEventListener('keydown', (event) => {
    const word = words[current];
    if (event.key === 'Enter' && word !== undefined) {
      // Else the key would go on to press the button that gets the focus.
      event.preventDefault();
      return askFor(word);
    }
    const to = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: words.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    point(Math.min(Math.max(to, 0), words.length - 1));
    spans[current]?.scrollIntoView({ block: 'nearest' });
  });
}

export function wordsShown(): readonly Word[] {
  return words;
}

export function clearHeat(): void {
  [words, spans, current] = [[], [], 0];
  heat.replaceChildren();
  readout.textContent = 'Point at a word, or go there with the arrow keys, for its numbers.';
}

/** A new line, to which words are added. */
export function addLine(): HTMLElement {
  const line = element('p');
  line.dir = 'auto';
  heat.append(line);
  return line;
}

/** Adds a text, with its words, to a line. */
export function addWords(line: HTMLElement, text: string, found: readonly Word[]): void {
  let end = 0;
  for (const word of found) {
    const step = STEPS.findIndex((most) => word.nats < most);
    const span = element('span', `heat-${step < 0 ? STEPS.length : step}`, word.text);
    line.append(text.slice(end, word.at), span);
    end = word.at + word.text.length;
    words.push(word);
    spans.push(span);
  }
  line.append(text.slice(end));
}

export function told({ nats }: Word): string {
  return `${nats.toFixed(1)} nats, probability ${percent(Math.exp(-nats))}`;
}

function point(index: number): void {
  const word = words[index];
  if (word === undefined) return;
  spans[current]?.classList.remove('pointed-at');
  spans[index]?.classList.add('pointed-at');
  current = index;
  readout.replaceChildren(element('strong', '', word.text), ` ${told(word)} `, linkButton('What would the model put there?', () => askFor(word)));
}
