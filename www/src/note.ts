/** The note: typed, pasted, dropped, or a sample. Anybody may ask for its present text and its parts. */
import { split, type SplitNote, type SplitOptions } from 'clinicalbert';
import { byId } from './dom';
import discharge from './samples/discharge.txt?raw';
import nursing from './samples/nursing.txt?raw';
import radiology from './samples/radiology.txt?raw';

const SAMPLES: Record<string, string> = { discharge, nursing, radiology };

/** A note and how it was cut. */
export interface CutNote {
  text: string;
  split: SplitNote;
  milliseconds: number;
}

const field = byId('note', HTMLTextAreaElement);
const splitter = byId('splitter', HTMLSelectElement);
const sample = byId('sample', HTMLSelectElement);

/** Cuts the note as it stands now. */
export async function cut(): Promise<CutNote> {
  const text = field.value;
  const started = performance.now();
  const parts = await split(text, { splitter: splitter.value as NonNullable<SplitOptions['splitter']> });
  return { text, split: parts, milliseconds: performance.now() - started };
}

/** Shows a part of the note in its field. */
export function locate(start: number, end: number): void {
  field.focus();
  field.setSelectionRange(start, end);
  // Browsers do not scroll to a selection made by a script. How far down it lies, wrapped lines included, shows a copy of the field.
  const copy = field.cloneNode() as HTMLTextAreaElement;
  copy.removeAttribute('id');
  copy.className = 'measure';
  copy.value = field.value.slice(0, start);
  field.after(copy);
  field.scrollTop = copy.scrollHeight - field.clientHeight / 2;
  copy.remove();
}

/** What is selected in the note, in UTF-16 code units. */
export function selection(): { start: number; end: number } {
  return { start: field.selectionStart, end: field.selectionEnd };
}

/** Calls `changed` whenever the note or the rules change. */
export function startNote(changed: () => void): void {
  const set = (text: string): void => {
    field.value = text;
    field.setSelectionRange(0, 0);
    field.scrollTop = 0;
    changed();
  };
  field.addEventListener('input', changed);
  splitter.addEventListener('change', changed);
  sample.addEventListener('change', () => set(SAMPLES[sample.value] ?? ''));
  byId('clear', HTMLButtonElement).addEventListener('click', () => {
    set('');
    field.focus();
  });
  field.addEventListener('drop', async (event) => {
    const file = event.dataTransfer?.files[0];
    if (file === undefined) return;
    event.preventDefault();
    set(await file.text());
  });
  field.value = discharge;
}
