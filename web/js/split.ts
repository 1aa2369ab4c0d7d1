import { guarded, requireOptions, requireString } from './errors.js';
import { wasm } from './wasm.js';

export interface SplitOptions {
  /**
   * Rules for sections: ours (`clinical`, the default), the published ones with their authors' two fixes (`fixed`) or with
   * all their bugs (`faithful`), or one section for the whole note (`none`).
   */
  splitter?: 'clinical' | 'fixed' | 'faithful' | 'none';
  /** Rules for sentences: ours (`rules`, the default), or the rule component of the original (`original-rules`). */
  sentencesBy?: 'rules' | 'original-rules';
}

/** Offsets count UTF-16 code units, as strings do: the part lies at `note.slice(start, end)`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Section extends Range {
  /** The header as it stands in the note, colon included; `null` before the first header. */
  readonly title: string | null;
  /** The whole section, header included. */
  readonly text: string;
}

export interface Sentence extends Range {
  /** The sentence on one line: line breaks inside it are blanks. */
  readonly text: string;
  /** Index of its section. */
  readonly section: number;
}

/** What de-identification left in place of a name or date: `[** … **]` or `___`. */
export interface Placeholder extends Range {
  readonly text: string;
}

export interface SplitNote {
  readonly sections: readonly Section[];
  readonly sentences: readonly Sentence[];
  readonly placeholders: readonly Placeholder[];
}

/** Cuts a note into sections, sentences and placeholders. */
export async function split(note: string, options: SplitOptions = {}): Promise<SplitNote> {
  requireString('note', note);
  requireOptions(options, ['splitter', 'sentencesBy']);
  const bindings = await wasm();
  return guarded(() => bindings.split(note, options) as SplitNote);
}
