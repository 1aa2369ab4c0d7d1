/**
 * What this package needs of the machine that computes. `../session.ts` gives it; everything above knows no more than this.
 */
import type { Piece } from '../tokenizer.js';

/** Where a model computes. */
export type Device = 'wasm' | 'webgpu';

/** Brings a file of a model, whole or as it arrives. */
export type OpenFile = (file: string) => Promise<Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array>>;

/** Keeps what was measured about devices, for the next visit. */
export interface Memory {
  getItem(key: string): Promise<string | null>;
  setItem(key: string, value: string): Promise<void>;
}

export interface Engine {
  /** Loads a model; every file is compared with the checksum in its manifest. */
  load(open: OpenFile, options: { device: Device | 'auto'; storage: Memory; signal?: AbortSignal }): Promise<Model>;
}

export interface Facts {
  readonly device: Device;
  /** Whether the engine has relaxed SIMD, with which int8 models are faster. */
  readonly relaxedSimd: boolean;
  /** The GPU's answers to known questions, if there is a GPU. It is not used if they were wrong. */
  readonly selfTest?: { readonly passed: boolean; readonly maxAbs: number; readonly adapter: string } | undefined;
  /** Milliseconds of one layer on 128 tokens, if `auto` has tried both devices, now or on an earlier visit. */
  readonly measured?: Readonly<Record<Device, number>> | undefined;
  /** As in `config.json`. */
  readonly config: Readonly<Record<string, number | string>>;
  /** Heads that the weights have. */
  readonly heads: { readonly pooler: boolean; readonly mlm: boolean; readonly nsp: boolean; readonly classifier: boolean };
  /** What the classifier says something about, if there is one. */
  readonly classifies: 'tokens' | 'texts' | null;
  /** The classes that it tells apart, by number. */
  readonly labels: readonly string[];
  /** Whether letters keep their case. */
  readonly isCased: boolean;
  /** How matrices are stored. */
  readonly encoding: 'f32' | 'f16' | 'int8';
}

/** Bytes in use. */
export interface MemoryUse {
  /** Of the weights as they were fetched. */
  readonly weights: number;
  /** Of wasm: the code's own and, on the device `wasm`, the weights. */
  readonly wasm: number;
  /** Of the GPU. */
  readonly gpu: number;
}

export interface EmbedSettings {
  pooling: 'mean' | 'cls' | 'max' | 'last-four';
  layer?: number;
  /** Tokens of a window, `[CLS]` and `[SEP]` included. */
  window?: number;
  /** Tokens that a window shares with the one before. */
  overlap?: number;
}

export interface Embedded {
  /** `hidden_size` numbers a text. */
  readonly data: Float32Array;
  /** Tokens of each text, without special ones. */
  readonly tokens: Uint32Array;
  /** Windows that each was cut into. */
  readonly windows: Uint32Array;
}

/** Vectors of the tokens of one text, `[CLS]` and `[SEP]` included. */
export interface TokenVectors {
  /** `[tokens, hidden_size]` */
  readonly data: Float32Array;
  /** Whether the text was longer than the model allows, and its end is left out. */
  readonly isCut: boolean;
}

export interface Filled {
  readonly score: number;
  readonly token: number;
  readonly token_str: string;
  readonly sequence: string;
}

export interface FilledJointly {
  readonly score: number;
  readonly tokens: readonly number[];
  readonly token_strs: readonly string[];
  readonly sequence: string;
}

/** A word and how little the model expected it. */
export interface Surprise {
  /** The word is `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
  /** −ln of the word's probability, given all other words. */
  readonly nats: number;
}

/** What a classifier says of a text. */
export interface TextClasses {
  /** A score for every class, in the order of `labels`. */
  readonly scores: Float64Array;
  /** Whether the text was longer than the model allows, and its end is left out. */
  readonly isCut: boolean;
}

/** A token and its likeliest class, or neighbouring ones that belong together. */
export interface Labelled {
  readonly label: string;
  readonly score: number;
  /** It stands at `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
  /** The token as the vocabulary has it; of several tokens their text. */
  readonly word: string;
}

/** How tokens are put together: not, neighbours with the same tag, or words by their first token. As transformers has it. */
export type Aggregation = 'none' | 'simple' | 'first';

/** A loaded model with its tokenizer. */
export interface Model {
  readonly info: Facts;
  embed(texts: readonly string[], settings: EmbedSettings): Promise<Embedded>;
  tokenVectors(text: string, options: { layer?: number }): Promise<TokenVectors>;
  /** For every `[MASK]` the likeliest tokens. */
  fillMask(text: string, options: { topK: number }): Promise<Filled[][]>;
  /** The likeliest fillings of all masks together. */
  fillMaskJointly(text: string, options: { topK: number }): Promise<FilledJointly[]>;
  surprise(text: string): Promise<Surprise[]>;
  classifyText(text: string, second?: string): Promise<TextClasses>;
  classifyTokens(text: string, aggregation: Aggregation): Promise<Labelled[]>;
  tokenize(text: string): Piece[];
  memory(): MemoryUse;
  dispose(): Promise<void>;
}
