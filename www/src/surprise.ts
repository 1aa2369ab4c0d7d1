/** How little the model expects each word of the note, given the rest of its sentence: a heat map, drawn as it is found. */
import { Action } from './action';
import { byId, counted, element, linkButton, milliseconds } from './dom';
import { maskAndFill } from './fill-mask';
import { addLine, addWords, clearHeat, startHeat, told, wordsShown, type Word } from './heat';
import { modelFor } from './model';
import { cut, locate, noteField } from './note';
import { offerFile } from './save';

const TOP = 10;
/** Characters of a text that is read at once. */
const LONGEST = 500;

const start = byId('surprise', HTMLButtonElement);
const save = byId('save-surprise', HTMLButtonElement);
const result = byId('surprise-result', HTMLElement);
const least = byId('surprising-words', HTMLOListElement);
const action = new Action(byId('surprise-action', HTMLElement), 'Reading the note', [start]);

/** The note that the words are of. */
let note = '';

export function startSurprise(done: () => void): void {
  start.addEventListener('click', () => void run().then(done));
  startHeat(({ context, at, text }) => void maskAndFill(context, { start: at, end: at + text.length }));
  offerFile(save, 'surprise.json', () =>
    wordsShown().map(({ start, end, text, nats }) => ({ start, end, text, nats, probability: Math.exp(-nats) })),
  );
}

/** What was found holds for the note that it was found in. */
export function forgetSurprise(): void {
  if (result.hidden || note === noteField.value) return;
  result.hidden = true;
  action.say('The note has changed: read it again.');
}

async function run(): Promise<void> {
  await action.run('Reading…', async (signal, report) => {
    const { text, split } = await cut();
    if (split.sentences.length === 0) throw new Error('The note has no sentence.');
    const session = await modelFor(action, signal);
    clearHeat();
    least.replaceChildren();
    note = text;
    result.hidden = false;
    const began = performance.now();
    for (const [number, sentence] of split.sentences.entries()) {
      const line = addLine();
      for (const { at, shown } of stretches(text.slice(sentence.start, sentence.end))) {
        const [found = []] = await session.surprise([shown], { signal });
        const from = sentence.start + at;
        const words = found.map(({ start, end, nats }) => ({
          start: start + from,
          end: end + from,
          text: shown.slice(start, end),
          nats,
          context: shown,
          at: start,
        }));
        addWords(line, shown, words);
        report(from + shown.length, text.length, `${number + 1} of ${split.sentences.length} sentences`);
      }
    }
    const all = wordsShown();
    least.replaceChildren(...[...all].sort((a, b) => b.nats - a.nats).slice(0, TOP).map(item));
    const mean = all.reduce((sum, { nats }) => sum + nats, 0) / Math.max(1, all.length);
    action.say(`${counted(all.length, 'word')} in ${milliseconds(performance.now() - began)}; ${mean.toFixed(2)} nats a word.`);
    forgetSurprise();
  });
}

/** A sentence in parts that are short enough to be cancelled between: lines of a table can be one sentence of 100 kB. */
function* stretches(sentence: string): Generator<{ at: number; shown: string }> {
  let at = 0;
  while (at < sentence.length) {
    const blank = sentence.length - at > LONGEST ? sentence.lastIndexOf(' ', at + LONGEST) : -1;
    const end = blank > at ? blank : Math.min(at + LONGEST, sentence.length);
    yield { at, shown: sentence.slice(at, end) };
    at = end;
  }
}

function item(word: Word): HTMLLIElement {
  return element('li', '', linkButton(word.text, () => locate(word.start, word.end)), ` ${told(word)}`);
}
