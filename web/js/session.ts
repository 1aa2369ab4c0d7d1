import type { Gpu, Loading, Session as WasmSession } from './plain.js';
import { choose, defaultStorage, requireDevice, type DeviceName, type DeviceStorage, type DeviceWish, type Measured, type SelfTest } from './device.js';
import { coded, failure, guarded, requireOptions, requireString } from './errors.js';
import { chunks, open, read, type FileBody, type ModelSource } from './source.js';
import type { Surprise, TokenVectors } from './session/engine.js';
import type { Piece } from './tokenizer.js';
import { hasRelaxedSimd, instance } from './wasm.js';

export interface LoadOptions {
  /** `auto`, the default, tries what there is on this machine once and takes the faster. */
  device?: DeviceName | 'auto';
  /** Where `auto` remembers its measurement; `localStorage` by default, nowhere if `null`. */
  storage?: DeviceStorage | null;
  /** Ends the load. */
  signal?: AbortSignal;
  /** Called as weights arrive, with bytes. */
  onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
  /** @internal */
  testing?: DeviceWish['testing'];
}

export interface EmbedOptions {
  /** How token vectors become one: `mean` over tokens (the default), that of `[CLS]`, the largest values, or the mean over four layers too. */
  pooling?: 'mean' | 'cls' | 'max' | 'last-four';
  /** Hidden state to take: 0 is the embeddings' output, -1 (the default) the last layer's. */
  layer?: number;
  /** Scale vectors to length 1. */
  normalize?: boolean;
  /** Tokens of a window, into which longer texts are cut; what the model allows by default. */
  window?: number;
  /** Tokens that windows share; a quarter of the window by default. */
  overlap?: number;
  /** Windows of one pass through the model. */
  batchSize?: number;
}

export interface Embeddings {
  /** One vector after the other. */
  readonly data: Float32Array;
  /** Number of vectors, and of values of each. */
  readonly dims: readonly [number, number];
  /** Tokens of each text, without `[CLS]` and `[SEP]`; of ids all that were given. */
  readonly tokens: Uint32Array;
  /** Windows that each text was cut into. */
  readonly windows: Uint32Array;
}

export interface FillOptions {
  /** Tokens for a mask; 5 by default. */
  topK?: number;
}

/** A token for a mask, with the names that Hugging Face gives them. */
export interface Filled {
  readonly score: number;
  readonly token: number;
  readonly token_str: string;
  /** The text with this mask filled; other masks stay. */
  readonly sequence: string;
}

/** Tokens for all masks of a text together. */
export interface FilledJointly {
  readonly score: number;
  readonly tokens: readonly number[];
  readonly token_strs: readonly string[];
  readonly sequence: string;
}

/** What was loaded, where, and why there. */
export interface SessionInfo {
  readonly device: DeviceName;
  /** Whether the engine has relaxed SIMD, and the wasm file that uses it is in use. */
  readonly relaxedSimd: boolean;
  /** The GPU's answer to a known question, if there is a GPU. It is not used if that was wrong. */
  readonly selfTest: SelfTest | undefined;
  /** What `auto` measured, on this visit or an earlier one. */
  readonly measured: Measured | undefined;
  /** As in `config.json`. */
  readonly config: Readonly<Record<string, number | string>>;
  readonly heads: { readonly pooler: boolean; readonly mlm: boolean; readonly nsp: boolean };
  /** Whether letters keep their case. */
  readonly isCased: boolean;
  /** How matrices are stored. */
  readonly encoding: 'f32' | 'f16' | 'int8';
}

/** Bytes in use. */
export interface MemoryReport {
  /** Of the weights as they were fetched. */
  readonly weights: number;
  /** Of wasm: code's own and, on the device `wasm`, the weights. */
  readonly wasm: number;
  /** Of the GPU. */
  readonly gpu: number;
}

interface Manifest {
  readonly shards: readonly { readonly name: string }[];
  readonly tokenizer: { readonly vocabulary: { readonly name: string } };
  readonly bytes: number;
  readonly encoding: SessionInfo['encoding'];
}

/** A model that was loaded. It holds memory until `dispose()`. Calls are done one after the other, in the order in which they were made. */
export class Session {
  readonly info: SessionInfo;
  #inner: WasmSession | undefined;
  #gpu: Gpu | undefined;
  #memory: WebAssembly.Memory | undefined;
  readonly #weights: number;
  #last: Promise<unknown> = Promise.resolve();
  #hasTrapped = false;

  private constructor(inner: WasmSession, gpu: Gpu | undefined, memory: WebAssembly.Memory, weights: number, info: SessionInfo) {
    [this.#inner, this.#gpu, this.#memory, this.#weights, this.info] = [inner, gpu, memory, weights, info];
  }

  /** Loads the folder that `native convert --to web` wrote. Weights go where they stay as they arrive. */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<Session> {
    requireOptions(options, ['device', 'storage', 'signal', 'onProgress', 'testing']);
    const { device = 'auto', storage = defaultStorage(), signal, onProgress, testing } = options;
    requireDevice(device);
    const [manifestBytes, own] = await Promise.all([read(source, 'manifest.json', signal), instance()]);
    try {
      const manifest = own.bindings.readManifest(manifestBytes) as Manifest;
      const vocabulary = read(source, manifest.tokenizer.vocabulary.name, signal);
      const [choice, vocabularyBytes] = await Promise.all([choose(own, manifestBytes, { device, storage: storage ?? undefined, testing }), vocabulary]);
      const { gpu, selfTest, measured } = choice;
      const loading = gpu
        ? own.bindings.Loading.ontoGpu(manifestBytes, vocabularyBytes, gpu)
        : own.bindings.Loading.intoWasm(manifestBytes, vocabularyBytes);
      await push(loading, manifest, source, signal, onProgress);
      const inner = loading.finish();
      const facts = inner.facts as Pick<SessionInfo, 'device' | 'config' | 'heads' | 'isCased'>;
      const info = { ...facts, relaxedSimd: hasRelaxedSimd(), encoding: manifest.encoding, selfTest, measured };
      return new Session(inner, gpu, own.memory, manifest.bytes, info);
    } catch (error) {
      // The instance goes with everything that it held.
      throw outOfMemory(error, own.memory) ?? coded(error);
    }
  }

  /** Vectors of texts of any length: longer ones than the model allows are cut into windows whose vectors are averaged. */
  async embed(texts: string | readonly string[], options: EmbedOptions = {}): Promise<Embeddings> {
    const list = typeof texts === 'string' ? [texts] : [...texts];
    list.forEach((text, number) => requireString(`text ${number}`, text));
    requireEmbedOptions(options);
    return this.#embeddings((inner) => inner.embed(list, options));
  }

  /** Vectors of rows of ids that are the model's input as they stand, `[CLS]` and `[SEP]` included. */
  async embedIds(rows: readonly (Uint32Array | readonly number[])[], options: EmbedOptions = {}): Promise<Embeddings> {
    requireEmbedOptions(options);
    const lengths = Uint32Array.from(rows, (row) => row.length);
    const ids = new Uint32Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const row of rows) {
      if (!row.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 32)) throw failure('batch', 'ids must be whole numbers from 0');
      ids.set(row, at);
      at += row.length;
    }
    return this.#embeddings((inner) => inner.embedIds(ids, lengths, options));
  }

  /** For every `[MASK]` of the text the likeliest tokens, best first, the other masks left unfilled. */
  async fillMask(text: string, options: FillOptions = {}): Promise<Filled[][]> {
    return this.#fill(text, options, false) as Promise<Filled[][]>;
  }

  /** The likeliest fillings of all masks of the text together, best first: each token given those before it. */
  async fillMaskJointly(text: string, options: FillOptions = {}): Promise<FilledJointly[]> {
    return this.#fill(text, options, true) as Promise<FilledJointly[]>;
  }

  /** Vectors of the text's tokens, `[CLS]` and `[SEP]` included; of a longer text's those that the model allows. */
  async tokenVectors(text: string, options: { layer?: number } = {}): Promise<TokenVectors> {
    requireString('text', text);
    requireOptions(options, ['layer']);
    return this.#run((inner) => inner.tokenVectors(text, options)) as Promise<TokenVectors>;
  }

  /** The words of `text` and how little the model expects each, hidden in turn, given all others. */
  async surprise(text: string): Promise<Surprise[]> {
    requireString('text', text);
    return this.#run((inner) => inner.surprise(text)) as Promise<Surprise[]>;
  }

  /** The pieces of `text`. Special tokens are neither added nor recognised. */
  tokenize(text: string): Piece[] {
    requireString('text', text);
    const inner = this.#alive();
    return guarded(() => inner.tokenize(text) as Piece[]);
  }

  /** Bytes in use now. */
  memory(): MemoryReport {
    this.#alive();
    return { weights: this.#weights, wasm: this.#memory?.buffer.byteLength ?? 0, gpu: this.#gpu?.bytes ?? 0 };
  }

  /** Gives the memory back, after the calls that are under way. May be called more than once. */
  async dispose(): Promise<void> {
    const [inner, gpu] = [this.#inner, this.#gpu];
    // The instance's memory goes when nothing refers to it any more.
    this.#inner = this.#gpu = this.#memory = undefined;
    await this.#last;
    if (this.#hasTrapped) return;
    inner?.free();
    gpu?.free();
  }

  async #embeddings(work: (inner: WasmSession) => Promise<unknown>): Promise<Embeddings> {
    const result = (await this.#run(work)) as Omit<Embeddings, 'dims'>;
    const count = result.tokens.length;
    return { ...result, dims: [count, count === 0 ? 0 : result.data.length / count] };
  }

  #fill(text: string, options: FillOptions, jointly: boolean): Promise<unknown> {
    requireString('text', text);
    requireOptions(options, ['topK']);
    return this.#run((inner) => inner.fillMask(text, { ...options, jointly }));
  }

  /** One call after the other; a fault inside closes the session. */
  async #run<Result>(work: (inner: WasmSession) => Promise<Result>): Promise<Result> {
    const inner = this.#alive();
    const turn = this.#last.then(() => {
      if (this.#hasTrapped) throw closed();
      return work(inner);
    });
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } catch (error) {
      const fault = outOfMemory(error, this.#memory) ?? coded(error);
      if (error instanceof WebAssembly.RuntimeError) {
        // What a trap leaves behind cannot be freed, only forgotten.
        this.#hasTrapped = true;
        this.#inner = this.#gpu = this.#memory = undefined;
      }
      throw fault;
    }
  }

  #alive(): WasmSession {
    if (this.#inner === undefined) throw closed();
    return this.#inner;
  }
}

function closed(): Error {
  return failure('disposed', 'this session has been disposed of, or closed by a fault; load another');
}

/** Pushes all shards; the next is asked for while one arrives. */
async function push(
  loading: Loading,
  { shards, bytes: total }: Manifest,
  source: ModelSource,
  signal: AbortSignal | undefined,
  onProgress: LoadOptions['onProgress'],
): Promise<void> {
  const ask = (number: number): Promise<FileBody> | undefined => {
    const shard = shards[number];
    const body = shard && open(source, shard.name, signal);
    // If an earlier shard fails, nobody waits for this one.
    body?.catch(() => {});
    return body;
  };
  let next = ask(0);
  for (const [number, { name }] of shards.entries()) {
    const body = await next;
    next = ask(number + 1);
    if (body === undefined) continue;
    for await (const chunk of chunks(body, name, signal)) {
      loading.push(number, chunk);
      onProgress?.({ loaded: loading.loadedBytes, total });
    }
  }
}

/** Of a trap for which there was no memory left; the engine does not tell. */
function outOfMemory(error: unknown, memory: WebAssembly.Memory | undefined): Error | undefined {
  if (!(error instanceof WebAssembly.RuntimeError) || memory === undefined) return undefined;
  try {
    // A mebibyte.
    memory.grow(16);
    return undefined;
  } catch {
    return failure('out-of-memory', 'this tab has no more memory for wasm: take a smaller batch, int8 weights or a smaller model', error);
  }
}

function requireEmbedOptions(options: EmbedOptions): void {
  requireOptions(options, ['pooling', 'layer', 'normalize', 'window', 'overlap', 'batchSize']);
}
