/** Draws a cut note: coloured sections, numbered sentences, marked placeholders, pieces if there are any. A header that is a sentence of its own heads. */
import type { Piece, SplitNote } from 'clinicalbert';
import { element } from './dom';

/** Colours in turn; style/results.css defines as many. */
const COLOURS = 8;

/** The class that has the colour of section number `index`. */
export function sectionClass(index: number): string {
  return `colour-${index % COLOURS}`;
}

/** A stretch of the note and how it is to look. */
interface Mark {
  start: number;
  end: number;
  class: string;
  title: string;
}

export interface Drawing {
  note: string;
  split: SplitNote;
  /** The pieces of every sentence, offsets counted from its start, or `undefined` if pieces are not shown. */
  pieces: readonly Piece[][] | undefined;
  /** Called with offsets into the note when somebody asks where a sentence stands. */
  onLocate: (start: number, end: number) => void;
}

export function render({ note, split, pieces, onLocate }: Drawing): DocumentFragment {
  const fragment = document.createDocumentFragment();
  const blocks = split.sections.map((section, index) => {
    const heading = element('h3', section.title === null ? 'untitled' : '', section.title ?? 'no header');
    const list = element('ol', 'sentences');
    fragment.append(element('section', `cut ${sectionClass(index)}`, heading, list));
    return { heading, list };
  });

  const placeholders = split.placeholders.map(({ start, end }) => ({ start, end, class: 'placeholder', title: 'placeholder' }));
  split.sentences.forEach((sentence, index) => {
    const number = element('button', 'number');
    number.type = 'button';
    number.textContent = String(index + 1);
    number.setAttribute('aria-label', `Show sentence ${index + 1} in the note`);
    number.addEventListener('click', () => onLocate(sentence.start, sentence.end));
    const text = element('span', 'text');
    text.dir = 'auto';
    const own = placeholders.filter(({ start, end }) => start < sentence.end && end > sentence.start);
    const shown = pieces?.[index]?.map((piece) => pieceMark(piece, sentence.start)) ?? [];
    text.append(...marked(note, sentence.start, sentence.end, own, shown));
    const block = blocks[sentence.section];
    if (sentence.text === split.sections[sentence.section]?.title) {
      block?.heading.replaceChildren(number, text);
      block?.heading.classList.add('sentence');
    } else {
      block?.list.append(element('li', 'sentence', number, text));
    }
  });
  return fragment;
}

function pieceMark(piece: Piece, offset: number): Mark {
  const kind = piece.token === '[UNK]' ? 'piece unknown' : piece.token.startsWith('##') ? 'piece continued' : 'piece';
  return { start: piece.start + offset, end: piece.end + offset, class: kind, title: `${piece.token}  ${piece.id}` };
}

/** The text from `start` to `end` with outer marks, and inner marks inside them; an inner mark is cut where an outer one begins or ends. */
function marked(note: string, start: number, end: number, outer: Mark[], inner: Mark[]): Node[] {
  const nodes: Node[] = [];
  let at = start;
  for (const mark of outer) {
    const from = Math.max(mark.start, at);
    const to = Math.min(mark.end, end);
    nodes.push(...plain(note, at, from, inner), wrap('mark', mark, plain(note, from, to, inner)));
    at = to;
  }
  nodes.push(...plain(note, at, end, inner));
  return nodes;
}

function plain(note: string, start: number, end: number, marks: Mark[]): Node[] {
  const nodes: Node[] = [];
  let at = start;
  for (const mark of marks) {
    const from = Math.max(mark.start, at);
    const to = Math.min(mark.end, end);
    if (from >= to) continue;
    if (from > at) nodes.push(document.createTextNode(note.slice(at, from)));
    nodes.push(wrap('span', mark, [document.createTextNode(note.slice(from, to))]));
    at = to;
  }
  if (at < end) nodes.push(document.createTextNode(note.slice(at, end)));
  return nodes;
}

function wrap(tag: 'mark' | 'span', mark: Mark, content: Node[]): HTMLElement {
  const node = element(tag, mark.class);
  node.title = mark.title;
  node.append(...content);
  return node;
}
