/** How little the model expects each word of the note, given the rest of its sentence: a heat map, drawn as it is found. */
import { Action } from './action';
import { byId, counted, element, milliseconds } from './dom';
import { loadedModel } from './model';
import { cut, locate } from './note';

/** Upper ends of the steps of the scale, in nats; style.css has a colour for each and one above. */
const STEPS = [1, 2, 4, 6, 8, 10];
const TOP = 10;

const start = byId('surprise', HTMLButtonElement);
const result = byId('surprise-result', HTMLElement);
const heat = byId('heat', HTMLElement);
const words = byId('surprising-words', HTMLOListElement);
const action = new Action(byId('surprise-action', HTMLElement), 'Reading the note', [start]);

interface Word {
  start: number;
  end: number;
  text: string;
  nats: number;
}

export function startSurprise(done: () => void): void {
  start.addEventListener('click', () => void run().then(done));
}

async function run(): Promise<void> {
  const session = loadedModel();
  if (session === undefined) return action.complain(new Error('Load a model first.'));
  await action.run('Reading…', async (signal, report) => {
    const { text, split } = await cut();
    if (split.sentences.length === 0) throw new Error('The note has no sentence.');
    heat.replaceChildren();
    words.replaceChildren();
    result.hidden = false;
    const began = performance.now();
    const all: Word[] = [];
    for (const [number, sentence] of split.sentences.entries()) {
      const shown = text.slice(sentence.start, sentence.end);
      const [found = []] = await session.surprise([shown], { signal });
      const own = found.map(({ start, end, nats }) => ({ start, end, text: shown.slice(start, end), nats }));
      heat.append(element('p', '', ...marked(shown, own)));
      all.push(...own.map((word) => ({ ...word, start: word.start + sentence.start, end: word.end + sentence.start })));
      report(number + 1, split.sentences.length, `${number + 1} of ${split.sentences.length} sentences`);
    }
    words.replaceChildren(...[...all].sort((a, b) => b.nats - a.nats).slice(0, TOP).map(item));
    const mean = all.reduce((sum, { nats }) => sum + nats, 0) / Math.max(1, all.length);
    action.say(`${counted(all.length, 'word')} in ${milliseconds(performance.now() - began)}; ${mean.toFixed(2)} nats a word.`);
  });
}

function marked(text: string, found: Word[]): Node[] {
  const nodes: Node[] = [];
  let at = 0;
  for (const { start, end, nats, text: word } of found) {
    if (start > at) nodes.push(document.createTextNode(text.slice(at, start)));
    const step = STEPS.findIndex((most) => nats < most);
    const span = element('span', `heat-${step < 0 ? STEPS.length : step}`, word);
    span.title = told(nats);
    nodes.push(span);
    at = end;
  }
  nodes.push(document.createTextNode(text.slice(at)));
  return nodes;
}

function item({ start, end, text, nats }: Word): HTMLLIElement {
  const button = element('button', 'link', text);
  button.type = 'button';
  button.addEventListener('click', () => locate(start, end));
  return element('li', '', button, ` ${told(nats)}`);
}

function told(nats: number): string {
  const probability = Math.exp(-nats);
  const percent = probability >= 0.001 ? (100 * probability).toFixed(1) : (100 * probability).toExponential(0);
  return `${nats.toFixed(1)} nats, probability ${percent} %`;
}
