/** The page: what is typed on the left is drawn, cut, on the right. Nothing is stored and nothing is sent. */
import { split, Tokenizer, type SplitOptions } from 'clinicalbert';
import { render } from './render';
import { forbidRequests, watchRequests } from './requests';
import sampleNote from './sample-note.txt?raw';
import sampleVocabulary from './sample-vocabulary.txt?raw';

const note = byId('note', HTMLTextAreaElement);
const splitter = byId('splitter', HTMLSelectElement);
const showPieces = byId('show-pieces', HTMLInputElement);
const vocabulary = byId('vocabulary', HTMLFieldSetElement);
const vocabularyFile = byId('vocabulary-file', HTMLInputElement);
const vocabularyStatus = byId('vocabulary-status', HTMLElement);
const lowercase = byId('lowercase', HTMLInputElement);
const summary = byId('summary', HTMLElement);
const problem = byId('problem', HTMLElement);
const result = byId('result', HTMLElement);

/** What the tokenizer is made from; the name is shown. */
let source = { name: 'a small invented one', text: sampleVocabulary };
let tokenizer: Tokenizer | undefined;
/** Counts drawings asked for, so that one overtaken by a later one is dropped. */
let latest = 0;

async function draw(): Promise<void> {
  const number = ++latest;
  const text = note.value;
  try {
    const started = performance.now();
    const cut = await split(text, { splitter: splitter.value as NonNullable<SplitOptions['splitter']> });
    const milliseconds = performance.now() - started;
    if (number !== latest) return;
    const pieces = showPieces.checked ? tokenizer?.encode.bind(tokenizer) : undefined;
    result.replaceChildren(render({ note: text, split: cut, pieces, onLocate: locate }));
    summary.textContent =
      text.trim() === ''
        ? 'Nothing to cut yet'
        : `${counted(cut.sections.length, 'section')}, ${counted(cut.sentences.length, 'sentence')}, ` +
          `${counted(cut.placeholders.length, 'placeholder')}, cut in ${milliseconds.toFixed(1)} ms`;
    problem.hidden = true;
  } catch (error) {
    if (number === latest) complain(error);
  }
}

/** Makes the tokenizer anew from `source`; the old one stays if that fails. */
async function loadTokenizer(): Promise<void> {
  try {
    const made = await Tokenizer.load(source.text, { lowercase: lowercase.checked });
    tokenizer?.dispose();
    tokenizer = made;
    vocabularyStatus.textContent = `In use: ${source.name}, ${counted(made.vocabSize, 'entry', 'entries')}.`;
    await draw();
  } catch (error) {
    complain(error);
  }
}

function complain(error: unknown): void {
  problem.textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
  summary.textContent = '';
}

function locate(start: number, end: number): void {
  note.focus();
  note.setSelectionRange(start, end);
  // Browsers do not scroll to a selection made by a script. How far down it lies, wrapped lines included, shows a copy of the field.
  const copy = note.cloneNode() as HTMLTextAreaElement;
  copy.removeAttribute('id');
  copy.className = 'measure';
  copy.value = note.value.slice(0, start);
  note.after(copy);
  note.scrollTop = copy.scrollHeight - note.clientHeight / 2;
  copy.remove();
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

function byId<Type extends HTMLElement>(id: string, type: new () => Type): Type {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page lacks #${id}`);
  return found;
}

function setNote(text: string): void {
  note.value = text;
  note.setSelectionRange(0, 0);
  note.scrollTop = 0;
  void draw();
}

note.addEventListener('input', () => void draw());
splitter.addEventListener('change', () => void draw());
byId('sample', HTMLButtonElement).addEventListener('click', () => setNote(sampleNote));
byId('clear', HTMLButtonElement).addEventListener('click', () => {
  setNote('');
  note.focus();
});
showPieces.addEventListener('change', () => {
  vocabulary.hidden = !showPieces.checked;
  void (showPieces.checked && tokenizer === undefined ? loadTokenizer() : draw());
});
lowercase.addEventListener('change', () => void loadTokenizer());
vocabularyFile.addEventListener('change', async () => {
  const file = vocabularyFile.files?.[0];
  if (file === undefined) return;
  source = { name: file.name, text: await file.text() };
  await loadTokenizer();
});

note.value = sampleNote;
// The first call loads the wasm; the time shown is to be that of cutting alone.
await split('').catch(() => undefined);
await draw();
forbidRequests();
watchRequests(byId('requests', HTMLElement));
document.documentElement.dataset['ready'] = 'true';
