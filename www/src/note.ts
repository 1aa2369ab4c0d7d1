/** The note: typed, pasted, opened, dropped, or a sample. Anybody may ask for its present text and its parts. */
import { split, type SplitNote, type SplitOptions } from 'clinicalbert';
import { byId, showProblem } from './dom';
import { acceptDrops } from './drop';
import discharge from './samples/discharge.txt?raw';
import nursing from './samples/nursing.txt?raw';
import radiology from './samples/radiology.txt?raw';
import { textOf } from './text-file';

const SAMPLES: Record<string, string> = { discharge, nursing, radiology };

/** A note and how it was cut. */
export interface CutNote {
  text: string;
  split: SplitNote;
  milliseconds: number;
}

export const noteField = byId('note', HTMLTextAreaElement);
const splitter = byId('splitter', HTMLSelectElement);
const sample = byId('sample', HTMLSelectElement);
const file = byId('note-file', HTMLInputElement);
const problem = byId('note-problem', HTMLElement);

/** Cuts the note as it stands now. */
export async function cut(): Promise<CutNote> {
  const text = noteField.value;
  const started = performance.now();
  const parts = await split(text, { splitter: splitter.value as NonNullable<SplitOptions['splitter']> });
  return { text, split: parts, milliseconds: performance.now() - started };
}

/** Shows a part of the note in its field. */
export function locate(start: number, end: number): void {
  noteField.focus();
  noteField.setSelectionRange(start, end);
  // Browsers do not scroll to a selection made by a script. How far down it lies, wrapped lines included, shows a copy of the field.
  const copy = noteField.cloneNode() as HTMLTextAreaElement;
  copy.removeAttribute('id');
  copy.className = 'measure';
  copy.value = noteField.value.slice(0, start);
  noteField.after(copy);
  noteField.scrollTop = copy.scrollHeight - noteField.clientHeight / 2;
  copy.remove();
}

/** Calls `changed` whenever the note or the rules change. */
export function startNote(changed: () => void): void {
  const set = (text: string): void => {
    noteField.value = text;
    noteField.setSelectionRange(0, 0);
    noteField.scrollTop = 0;
    showProblem(problem);
    changed();
  };
  const take = async (given: File | null | undefined): Promise<void> => {
    if (!given) return;
    try {
      set(await textOf(given));
      sample.value = '';
    } catch (error) {
      showProblem(problem, error);
    }
  };
  noteField.addEventListener('input', () => {
    // It is no sample any more, and the sample can be taken again.
    sample.value = '';
    showProblem(problem);
    changed();
  });
  splitter.addEventListener('change', changed);
  sample.addEventListener('change', () => set(SAMPLES[sample.value] ?? ''));
  byId('clear', HTMLButtonElement).addEventListener('click', () => {
    set('');
    sample.value = '';
    noteField.focus();
  });
  file.addEventListener('change', () => {
    void take(file.files?.[0]);
    // So that the same file can be opened again.
    file.value = '';
  });
  acceptDrops(byId('note-panel', HTMLElement), ({ files }) => void take(files[0]));
  noteField.value = discharge;
}
