/** How alike the sentences of the note are: a map of all pairs, and the pairs that are nearest. */
import { Action } from './action';
import { byId, counted, element, linkButton, milliseconds } from './dom';
import { modelFor } from './model';
import { cut, locate, noteField } from './note';
import { offerFile } from './save';
import { nearestPairs, similarities, type Pair } from './similarity-arithmetic';
import { drawMap, drawSections, mark } from './similarity-map';

/** More make a map that nobody can read, and its table grows with the square. */
const MOST = 400;
const PAIRS = 10;

const start = byId('embed', HTMLButtonElement);
const save = byId('save-similarity', HTMLButtonElement);
const map = byId('map', HTMLCanvasElement);
const pair = byId('map-pair', HTMLElement);
const least = byId('map-least', HTMLElement);
const most = byId('map-most', HTMLElement);
const pairs = byId('pairs', HTMLOListElement);
const result = byId('similarity-result', HTMLElement);
const action = new Action(byId('similarity-action', HTMLElement), 'Embedding the sentences', [start]);

interface Sentence {
  /** In the note, from 1. */
  number: number;
  text: string;
  start: number;
  end: number;
  /** Number of its section, from 0, and its header. */
  section: number;
  title: string;
}

interface Shown {
  note: string;
  sentences: Sentence[];
  /** `[sentences, width]` */
  vectors: number[][];
  /** `[sentences, sentences]` */
  values: Float32Array;
}

let shown: Shown | undefined;
let at = { row: 0, column: 0 };

export function startSimilarity(done: () => void): void {
  start.addEventListener('click', () => void run().then(done));
  for (const kind of ['pointermove', 'pointerdown'] as const) {
    map.addEventListener(kind, ({ offsetX, offsetY }) => {
      const cell = (position: number, length: number): number => Math.floor((position / length) * (shown?.sentences.length ?? 1));
      tell(cell(offsetY, map.clientHeight), cell(offsetX, map.clientWidth));
    });
  }
  map.addEventListener('keydown', (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    tell(at.row + (step[0] ?? 0), at.column + (step[1] ?? 0));
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  offerFile(save, 'similarity.json', () => ({ sentences: shown?.sentences, vectors: shown?.vectors }));
}

/** What was found holds for the note that it was found in. */
export function forgetSimilarity(): void {
  if (shown === undefined || shown.note === noteField.value) return;
  shown = undefined;
  result.hidden = true;
  action.say('The note has changed: embed it again.');
}

async function run(): Promise<void> {
  await action.run('Embedding…', async (signal, report) => {
    const note = await cut();
    const { sections } = note.split;
    const whole = note.split.sentences.map((sentence, index) => ({
      ...sentence,
      number: index + 1,
      title: sections[sentence.section]?.title ?? '',
    }));
    // A header alone says nothing, and is like every other header; so is a bullet.
    const all = whole.filter(({ text, title }) => text !== title && /[\p{L}\p{N}]/u.test(text));
    const sentences = all.slice(0, MOST);
    if (sentences.length < 2) throw new Error('The note needs at least two sentences.');
    const session = await modelFor(action, signal);
    const began = performance.now();
    const output = await session.embed(
      sentences.map(({ text }) => text),
      { pooling: 'mean', normalize: true, signal, progress_callback: ({ done, total }) => report(done, total, `${done} of ${total} sentences`) },
    );
    const time = performance.now() - began;
    const values = similarities(output.data as Float32Array, sentences.length);
    shown = { note: note.text, sentences, vectors: output.tolist() as number[][], values };
    draw();
    map.setAttribute('aria-label', `Similarity of ${sentences.length} sentences, pair by pair; the arrow keys go from pair to pair`);
    const nearest = nearestPairs(values, sentences.length, PAIRS);
    pairs.replaceChildren(...nearest.map((one) => element('li', '', ...described(one))));
    tell(nearest[0]?.first ?? 0, nearest[0]?.second ?? 1);
    result.hidden = false;
    const left = all.length - sentences.length;
    action.say(
      `${counted(sentences.length, 'sentence')} embedded in ${milliseconds(time)}` + (left > 0 ? `; the last ${left} of the note are left out.` : '.'),
    );
    forgetSimilarity();
  });
}

function draw(): void {
  if (shown === undefined) return;
  const [low, high] = drawMap(map, shown.values, shown.sentences.length);
  least.textContent = low.toFixed(2);
  most.textContent = high.toFixed(2);
  drawSections(shown.sentences.map(({ section }) => section));
}

/** Tells of a pair of sentences, and marks it on the map. */
function tell(row: number, column: number): void {
  if (shown === undefined) return;
  const last = shown.sentences.length - 1;
  at = { row: Math.min(Math.max(row, 0), last), column: Math.min(Math.max(column, 0), last) };
  mark(at.row, at.column, last + 1);
  const value = shown.values[at.row * (last + 1) + at.column] ?? 0;
  pair.replaceChildren(...described({ first: at.row, second: at.column, value }));
}

/** A pair in words; pressing a sentence shows it in the note. */
function described({ first, second, value }: Pair): HTMLElement[] {
  const sentences = [first, second].map((index) => shown?.sentences[index]).filter((sentence) => sentence !== undefined);
  const texts = sentences.map(({ number, text, title, start, end }) =>
    element('p', '', linkButton(`${number}. ${text}`, () => locate(start, end)), element('span', 'quiet', title)),
  );
  return [element('strong', 'score', value.toFixed(3)), element('div', '', ...texts)];
}
