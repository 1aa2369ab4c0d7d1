/** What the model would put in place of `[MASK]`. */
import type { FillMaskSingle } from 'clinicalbert';
import { Action } from './action';
import { byId, element, milliseconds } from './dom';
import { loadedModel } from './model';
import { cut, selection } from './note';

const text = byId('masked', HTMLTextAreaElement);
const count = byId('top-k', HTMLSelectElement);
const start = byId('fill', HTMLButtonElement);
const fromNote = byId('mask-selection', HTMLButtonElement);
const result = byId('fill-result', HTMLElement);
const action = new Action(byId('fill-action', HTMLElement), 'Filling masks', [start]);

export function startFillMask(done: () => void): void {
  start.addEventListener('click', () => void run().then(done));
  fromNote.addEventListener('click', () => void maskSelection());
}

/** Takes the sentence in which something is selected, and masks what is. */
async function maskSelection(): Promise<void> {
  const { start: from, end: to } = selection();
  const note = await cut();
  const sentence = note.split.sentences.find(({ start, end }) => start <= from && to <= end);
  if (from === to || sentence === undefined) return action.complain(new Error('Select a word in the note first, within one sentence.'));
  text.value = `${note.text.slice(sentence.start, from)}[MASK]${note.text.slice(to, sentence.end)}`.replace(/\s+/g, ' ');
  text.focus();
}

async function run(): Promise<void> {
  const session = loadedModel();
  if (session === undefined) return action.complain(new Error('Load a model first.'));
  await action.run('Filling…', async (signal) => {
    const began = performance.now();
    const options = { top_k: Number(count.value), signal };
    const masks = text.value.split('[MASK]').length - 1;
    const together = await session.fillMask(text.value, options);
    const apart = masks > 1 ? await session.fillMask(text.value, { ...options, joint: false }) : [];
    const time = milliseconds(performance.now() - began);
    result.replaceChildren(
      table(masks > 1 ? 'All masks together, each given those before it' : 'Candidates', together),
      ...apart.map((fillings, index) => table(`Mask ${index + 1} for itself`, fillings)),
    );
    action.say(`Filled in ${time}.`);
  });
}

function table(caption: string, fillings: FillMaskSingle[]): HTMLElement {
  const body = element('tbody');
  for (const { score, token_strs, sequence } of fillings) {
    const meter = element('meter');
    meter.value = score;
    meter.setAttribute('aria-label', 'Probability');
    const row = element('tr', '', element('td', 'score', score.toFixed(3)), element('td', '', meter));
    row.append(element('th', '', token_strs.join(' · ')), element('td', 'sequence', sequence));
    row.querySelector('th')?.setAttribute('scope', 'row');
    body.append(row);
  }
  const heads = ['Probability', '', 'Tokens', 'Text'].map((head) => (head === '' ? element('td') : columnHead(head)));
  const made = element('table', 'fillings', element('caption', '', caption), element('thead', '', element('tr', '', ...heads)), body);
  return element('div', 'wide', made);
}

function columnHead(text: string): HTMLElement {
  const head = element('th', '', text);
  head.scope = 'col';
  return head;
}
