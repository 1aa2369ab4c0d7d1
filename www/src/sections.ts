/** The first tab: sections, sentences, placeholders, and word pieces on request. */
import { Tokenizer } from 'clinicalbert';
import { byId, counted, milliseconds } from './dom';
import { cut, locate } from './note';
import { render } from './render';
import sampleVocabulary from './sample-vocabulary.txt?raw';

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

export async function drawSections(): Promise<void> {
  const number = ++latest;
  try {
    const note = await cut();
    if (number !== latest) return;
    const pieces = showPieces.checked ? tokenizer?.encode.bind(tokenizer) : undefined;
    result.replaceChildren(render({ note: note.text, split: note.split, pieces, onLocate: locate }));
    const { sections, sentences, placeholders } = note.split;
    summary.textContent =
      note.text.trim() === ''
        ? 'Nothing to cut yet'
        : `${counted(sections.length, 'section')}, ${counted(sentences.length, 'sentence')}, ` +
          `${counted(placeholders.length, 'placeholder')}, cut in ${milliseconds(note.milliseconds)}`;
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
    await drawSections();
  } catch (error) {
    complain(error);
  }
}

function complain(error: unknown): void {
  problem.textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
  summary.textContent = '';
}

export function startSections(): void {
  showPieces.addEventListener('change', () => {
    vocabulary.hidden = !showPieces.checked;
    void (showPieces.checked && tokenizer === undefined ? loadTokenizer() : drawSections());
  });
  lowercase.addEventListener('change', () => void loadTokenizer());
  vocabularyFile.addEventListener('change', async () => {
    const file = vocabularyFile.files?.[0];
    if (file === undefined) return;
    source = { name: file.name, text: await file.text() };
    await loadTokenizer();
  });
}
