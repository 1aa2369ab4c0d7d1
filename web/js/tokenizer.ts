import type { Tokenizer as WasmTokenizer } from './plain.js';
import { failure, guarded, requireOptions, requireString } from './errors.js';
import { wasm } from './wasm.js';

export interface TokenizerOptions {
  /** Lower-case the text and remove accents. Counts for a `vocab.txt` only (default `false`); a `tokenizer.json` states its own. */
  lowercase?: boolean;
}

export interface Piece {
  /** Entry of the vocabulary. */
  readonly id: number;
  /** The entry itself, as the vocabulary writes it (`##` before a continuation). */
  readonly token: string;
  /** The piece stands for `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
}

/** A WordPiece tokenizer. It holds memory until `dispose()`. */
export class Tokenizer {
  #inner: WasmTokenizer | undefined;

  private constructor(inner: WasmTokenizer) {
    this.#inner = inner;
  }

  /** From the text of a `vocab.txt` or of a `tokenizer.json`. */
  static async load(source: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    requireString('source', source);
    requireOptions(options, ['lowercase']);
    const bindings = await wasm();
    return new Tokenizer(guarded(() => new bindings.Tokenizer(source, options.lowercase ?? false)));
  }

  /** The pieces of `text`. Special tokens are neither added nor recognised. */
  encode(text: string): Piece[] {
    requireString('text', text);
    const inner = this.#alive();
    return guarded(() => inner.encode(text) as Piece[]);
  }

  /** Number of entries. */
  get vocabSize(): number {
    return this.#alive().vocabSize;
  }

  /** Gives the memory back. May be called more than once. */
  dispose(): void {
    this.#inner?.free();
    this.#inner = undefined;
  }

  #alive(): WasmTokenizer {
    if (this.#inner === undefined) throw failure('disposed', 'this tokenizer has been disposed of; load another');
    return this.#inner;
  }
}
