/** How alike the sentences of the note are: a map of all pairs, and the pairs that are nearest. */
import { Action } from './action';
import { byId, counted, element, milliseconds } from './dom';
import { loadedModel } from './model';
import { cut, locate } from './note';
import { drawMap, nearestPairs, similarities, type Pair } from './similarity-map';

/** More make a map that nobody can read, and its table grows with the square. */
const MOST = 400;
const PAIRS = 10;

const start = byId('embed', HTMLButtonElement);
const map = byId('map', HTMLCanvasElement);
const told = byId('map-pair', HTMLElement);
const pairs = byId('pairs', HTMLOListElement);
const result = byId('similarity-result', HTMLElement);
const action = new Action(byId('similarity-action', HTMLElement), 'Embedding the sentences', [start]);

interface Shown {
  sentences: { text: string; start: number; end: number }[];
  values: Float32Array;
}

let shown: Shown | undefined;
let at = { row: 0, column: 0 };

export function startSimilarity(done: () => void): void {
  start.addEventListener('click', () => void run().then(done));
  map.addEventListener('pointermove', (event) => {
    const cell = (position: number, length: number): number => Math.floor((position / length) * (shown?.sentences.length ?? 1));
    tell(cell(event.offsetY, map.clientHeight), cell(event.offsetX, map.clientWidth));
  });
  map.addEventListener('keydown', (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    tell(at.row + (step[0] ?? 0), at.column + (step[1] ?? 0));
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    if (shown !== undefined) drawMap(map, shown.values, shown.sentences.length);
  });
}

async function run(): Promise<void> {
  const session = loadedModel();
  if (session === undefined) return action.complain(new Error('Load a model first.'));
  await action.run('Embedding…', async (signal, report) => {
    const { sentences: all } = (await cut()).split;
    const sentences = all.slice(0, MOST);
    if (sentences.length < 2) throw new Error('The note needs at least two sentences.');
    const began = performance.now();
    const output = await session.embed(
      sentences.map(({ text }) => text),
      { pooling: 'mean', normalize: true, signal, progress_callback: ({ done, total }) => report(done, total, `${done} of ${total} sentences`) },
    );
    const time = performance.now() - began;
    const values = similarities(output.data as Float32Array, sentences.length);
    shown = { sentences, values };
    drawMap(map, values, sentences.length);
    map.setAttribute('aria-label', `Similarity of ${sentences.length} sentences, pair by pair; the arrow keys tell of a pair`);
    pairs.replaceChildren(...nearestPairs(values, sentences.length, PAIRS).map(pairItem));
    tell(0, Math.min(1, sentences.length - 1));
    result.hidden = false;
    const left = all.length - sentences.length;
    action.say(
      `${counted(sentences.length, 'sentence')} embedded in ${milliseconds(time)}` + (left > 0 ? `; the last ${left} of the note are left out.` : '.'),
    );
  });
}

function pairItem({ first, second, value }: Pair): HTMLLIElement {
  const text = (index: number): HTMLElement => {
    const sentence = shown?.sentences[index];
    const button = element('button', 'link', `${index + 1}. ${sentence?.text ?? ''}`);
    button.type = 'button';
    button.addEventListener('click', () => sentence && locate(sentence.start, sentence.end));
    return button;
  };
  return element('li', '', element('strong', 'score', value.toFixed(3)), element('div', '', text(first), text(second)));
}

function tell(row: number, column: number): void {
  if (shown === undefined) return;
  const last = shown.sentences.length - 1;
  at = { row: Math.min(Math.max(row, 0), last), column: Math.min(Math.max(column, 0), last) };
  const value = shown.values[at.row * (last + 1) + at.column] ?? 0;
  const sentence = (index: number): string => `${index + 1}. ${shown?.sentences[index]?.text ?? ''}`;
  told.replaceChildren(element('strong', 'score', value.toFixed(3)), ` ${sentence(at.row)} — ${sentence(at.column)}`);
}
