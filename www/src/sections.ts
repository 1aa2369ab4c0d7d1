/** The first tab: sections, sentences, placeholders, and word pieces on request. */
import { Tokenizer, type Piece, type SplitNote } from 'clinicalbert';
import { byId, counted, milliseconds, showProblem } from './dom';
import { loadedModel } from './model';
import { cut, locate, type CutNote } from './note';
import { render } from './render';
import { offerFile } from './save';

const showPieces = byId('show-pieces', HTMLInputElement);
const vocabulary = byId('vocabulary', HTMLFieldSetElement);
const vocabularyFile = byId('vocabulary-file', HTMLInputElement);
const vocabularyStatus = byId('vocabulary-status', HTMLElement);
const lowercase = byId('lowercase', HTMLInputElement);
const summary = byId('summary', HTMLElement);
const problem = byId('problem', HTMLElement);
const result = byId('result', HTMLElement);

/** The user's own vocabulary; without one pieces are the model's. */
let own: { name: string; text: string; tokenizer: Tokenizer } | undefined;
/** What is shown. */
let drawn: SplitNote | undefined;
/** Counts drawings asked for, so that one overtaken by a later one is dropped. */
let latest = 0;

export async function drawSections(): Promise<void> {
  const number = ++latest;
  try {
    const note = await cut();
    if (number !== latest) return;
    const pieces = showPieces.checked ? await piecesOf(note) : undefined;
    if (number !== latest) return;
    result.replaceChildren(render({ note: note.text, split: note.split, pieces, onLocate: locate }));
    const { sections, sentences, placeholders } = note.split;
    summary.textContent =
      note.text.trim() === ''
        ? 'Nothing to cut yet'
        : `${counted(sections.length, 'section')}, ${counted(sentences.length, 'sentence')}, ` +
          `${counted(placeholders.length, 'placeholder')}, cut in ${milliseconds(note.milliseconds)}`;
    drawn = note.split;
    showProblem(problem);
  } catch (error) {
    if (number === latest) complain(error);
  }
}

/** The pieces of every sentence, by the user's vocabulary or by the model's. */
async function piecesOf({ text, split }: CutNote): Promise<Piece[][] | undefined> {
  const sentences = split.sentences.map(({ start, end }) => text.slice(start, end));
  const model = loadedModel();
  lowercase.disabled = own === undefined;
  if (own !== undefined) {
    const { name, tokenizer } = own;
    vocabularyStatus.textContent = `In use: ${name}, ${counted(tokenizer.vocabSize, 'entry', 'entries')}.`;
    return sentences.map((sentence) => tokenizer.encode(sentence));
  }
  if (model === undefined) {
    vocabularyStatus.textContent = 'Pieces need a model, or a vocabulary of your own.';
    return undefined;
  }
  vocabularyStatus.textContent = 'In use: that of the model.';
  return Promise.all(sentences.map((sentence) => model.tokenize(sentence)));
}

/** Takes a vocabulary of the user; the one in use stays if it cannot be used. */
async function takeVocabulary(name: string, text: string): Promise<void> {
  try {
    const tokenizer = await Tokenizer.load(text, { lowercase: lowercase.checked });
    own?.tokenizer.dispose();
    own = { name, text, tokenizer };
    await drawSections();
  } catch (error) {
    complain(error);
  }
}

function complain(error: unknown): void {
  showProblem(problem, error);
  summary.textContent = '';
}

export function startSections(): void {
  offerFile(byId('save-sections', HTMLButtonElement), 'sections.json', () => drawn);
  showPieces.addEventListener('change', () => {
    vocabulary.hidden = !showPieces.checked;
    void drawSections();
  });
  lowercase.addEventListener('change', () => {
    if (own !== undefined) void takeVocabulary(own.name, own.text);
  });
  vocabularyFile.addEventListener('change', async () => {
    const file = vocabularyFile.files?.[0];
    if (file !== undefined) await takeVocabulary(file.name, await file.text());
  });
}
