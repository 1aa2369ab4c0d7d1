/** What the model would put in place of `[MASK]`. */
import type { FillMaskSingle } from 'clinicalbert';
import { Action } from './action';
import { byId, element, milliseconds, percent } from './dom';
import { modelFor } from './model';
import { cut, noteField } from './note';
import { offerFile } from './save';
import { wordAt } from './word';

const MASK = '[MASK]';

const text = byId('masked', HTMLTextAreaElement);
const count = byId('top-k', HTMLSelectElement);
const start = byId('fill', HTMLButtonElement);
const maskWord = byId('mask-word', HTMLButtonElement);
const save = byId('save-fill', HTMLButtonElement);
const result = byId('fill-result', HTMLElement);
const tables = byId('fill-tables', HTMLElement);
const action = new Action(byId('fill-action', HTMLElement), 'Filling masks', [start]);

/** The field in which the cursor was last. */
let lastField: HTMLTextAreaElement | undefined;
let filled: { text: string; together: FillMaskSingle[]; apart: FillMaskSingle[][] } | undefined;

export function startFillMask(done: () => void): void {
  start.addEventListener('click', () => void run().then(done));
  maskWord.addEventListener('click', () => void maskAtCursor());
  for (const field of [text, noteField]) field.addEventListener('focus', () => (lastField = field));
  offerFile(save, 'masks.json', () => filled);
}

/** Opens the tab with a part of a text masked, and fills it. */
export async function maskAndFill(sentence: string, part: { start: number; end: number }): Promise<void> {
  byId('tab-fill', HTMLButtonElement).click();
  mask(sentence, part);
  start.focus();
  await run();
}

/** Masks what is selected, or the word at the cursor: of the text itself, or of the note's sentence, which then becomes the text. */
async function maskAtCursor(): Promise<void> {
  const field = lastField;
  const part = field && wordAt(field.value, field.selectionStart, field.selectionEnd);
  const around = part && (field === text ? { start: 0, end: field.value.length } : await sentenceAround(part));
  if (field === undefined || part === undefined || around === undefined) {
    return action.complain(new Error('Put the cursor into a word first, of this text or of a sentence of the note.'));
  }
  mask(field.value.slice(around.start, around.end), { start: part.start - around.start, end: part.end - around.start });
  action.say('');
  text.focus();
}

async function sentenceAround(part: { start: number; end: number }): Promise<{ start: number; end: number } | undefined> {
  const { sentences } = (await cut()).split;
  return sentences.find(({ start, end }) => start <= part.start && part.end <= end);
}

function mask(sentence: string, { start: from, end }: { start: number; end: number }): void {
  text.value = `${sentence.slice(0, from)}${MASK}${sentence.slice(end)}`.replace(/\s+/g, ' ').trim();
  text.setSelectionRange(text.value.length, text.value.length);
}

async function run(): Promise<void> {
  await action.run('Filling…', async (signal) => {
    const session = await modelFor(action, signal);
    const began = performance.now();
    const options = { top_k: Number(count.value), signal };
    const given = text.value;
    const masks = given.split(MASK).length - 1;
    const together = await session.fillMask(given, options);
    const apart = masks > 1 ? await session.fillMask(given, { ...options, joint: false }) : [];
    const time = milliseconds(performance.now() - began);
    filled = { text: given, together, apart };
    tables.replaceChildren(
      table(masks > 1 ? 'All masks together, each given those before it' : 'Candidates', together),
      ...apart.map((fillings, index) => table(`Mask ${index + 1} for itself`, fillings)),
    );
    result.hidden = false;
    action.say(`Filled in ${time}.`);
  });
}

function table(caption: string, fillings: readonly FillMaskSingle[]): HTMLElement {
  const body = element('tbody');
  for (const { score, token_strs, sequence } of fillings) {
    const meter = element('meter');
    // A bar tells candidates apart; beside certainty most would be none.
    meter.max = fillings[0]?.score ?? 1;
    meter.value = score;
    meter.setAttribute('aria-label', 'Probability');
    meter.setAttribute('aria-valuetext', percent(score));
    const row = element('tr', '', element('th', '', token_strs.join(' · ')), element('td', 'score', meter, percent(score)));
    row.append(element('td', 'sequence', sequence));
    row.querySelector('th')?.setAttribute('scope', 'row');
    body.append(row);
  }
  const heads = ['Tokens', 'Probability', 'Text'].map(columnHead);
  heads[2]?.classList.add('sequence');
  const made = element('table', 'fillings', element('caption', '', caption), element('thead', '', element('tr', '', ...heads)), body);
  return element('div', 'wide', made);
}

function columnHead(text: string): HTMLElement {
  const head = element('th', '', text);
  head.scope = 'col';
  return head;
}
