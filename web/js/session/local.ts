/** A session in this thread. */
import type { Embedded, EmbedSettings, Engine, Model } from './engine.js';
import { failure } from '../errors.js';
import { loadModel, type LoadSettings } from '../weights/load.js';
import type { ProgressInfo } from '../weights/progress.js';
import { sourceOf, type ModelSource } from '../weights/source.js';
import { openStore, type StorageKind } from '../weights/store.js';
import type { CallName, CallProgress, Calls, Control, Host, HostFacts } from './host.js';
import { verified, type Verified } from './verify.js';

/** Texts that are embedded together. Between two groups a call can be cancelled. */
const GROUP = 16;

type Run<Name extends CallName> = (...args: Calls[Name]['arguments']) => Promise<Calls[Name]['result']>;

export class LocalHost implements Host {
  #loaded: { model: Model; storage: StorageKind; requests: RequestCount; verdict: Verified | undefined } | undefined;
  #isClosed = false;
  /** Settles when all calls before have ended: one model computes one thing at a time. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(private readonly engine: Engine) {}

  call<Name extends CallName>(name: Name, args: Calls[Name]['arguments'], control: Control): Promise<Calls[Name]['result']> {
    const turn = this.#before.then(async () => {
      control.signal?.throwIfAborted();
      if (this.#isClosed) throw disposed();
      const calls: { [Each in CallName]: Run<Each> } = {
        load: (model, settings) => this.#load(model, settings, control),
        facts: async () => this.#facts(),
        embed: (texts, settings) => this.#embed(texts, settings, control),
        tokenVectors: (texts, layer) => this.#each(texts, (text) => this.#model().tokenVectors(text, layer === undefined ? {} : { layer }), control),
        fillMask: (texts, topK) => this.#each(texts, (text) => this.#model().fillMask(text, { topK }), control),
        fillJointly: (texts, topK) => this.#each(texts, (text) => this.#model().fillMaskJointly(text, { topK }), control),
        classifyTexts: (texts, seconds) => this.#each(texts, (text, row) => this.#model().classifyText(text, seconds?.[row]), control),
        classifyTokens: (texts, aggregation) => this.#each(texts, (text) => this.#model().classifyTokens(text, aggregation), control),
        surprise: (texts) => this.#each(texts, (text) => this.#model().surprise(text), control),
        tokenize: async (texts) => texts.map((text) => this.#model().tokenize(text)),
      };
      const run = calls[name] as Run<Name>;
      return await run(...args);
    });
    this.#before = turn.catch(() => undefined);
    return turn;
  }

  close(): void {
    this.#isClosed = true;
    // Freed when what is under way has ended; the engine's memory must not vanish below it.
    void this.#before.then(() => {
      this.#loaded?.requests.end();
      void this.#loaded?.model.dispose();
      this.#loaded = undefined;
    });
  }

  async #load(model: ModelSource, settings: LoadSettings, { signal, onProgress }: Control): Promise<HostFacts> {
    const tell = (info: ProgressInfo): void => onProgress?.(info);
    const store = await openStore();
    const context = { engine: this.engine, source: sourceOf(model), store, signal };
    let loaded = await loadModel(settings, { ...context, tell });
    let verdict: Verified | undefined;
    if (settings.isVerified && loaded.info.device === 'webgpu') {
      const onProcessor = (): Promise<Model> => loadModel({ ...settings, device: 'wasm' }, { ...context, tell: () => undefined });
      ({ model: loaded, verdict } = await verified(loaded, onProcessor, settings.device === 'auto'));
    }
    if (this.#isClosed) {
      await loaded.dispose();
      throw disposed();
    }
    this.#loaded = { model: loaded, storage: store.kind, requests: new RequestCount(), verdict };
    return this.#facts();
  }

  #model(): Model {
    if (this.#loaded === undefined) throw disposed();
    return this.#loaded.model;
  }

  #facts(): HostFacts {
    if (this.#loaded === undefined) throw disposed();
    const { model, storage, requests, verdict } = this.#loaded;
    return { ...model.info, memory: model.memory(), storage, requests: requests.now(), ...(verdict && { verified: verdict }) };
  }

  /** Shorter texts first, so that little of a group is padding; the result is in the caller's order. */
  async #embed(texts: string[], settings: EmbedSettings, { signal, onProgress }: Control): Promise<Embedded> {
    const width = Number(this.#model().info.config['hidden_size']);
    const order = texts.map((_, index) => index).sort((a, b) => lengthOf(texts, a) - lengthOf(texts, b));
    const data = new Float32Array(texts.length * width);
    const [tokens, windows] = [new Uint32Array(texts.length), new Uint32Array(texts.length)];
    for (let from = 0; from < order.length; from += GROUP) {
      const group = order.slice(from, from + GROUP);
      const embedded = await this.#model().embed(group.map((index) => texts[index] ?? ''), settings);
      group.forEach((index, row) => {
        data.set(embedded.data.subarray(row * width, (row + 1) * width), index * width);
        tokens[index] = embedded.tokens[row] ?? 0;
        windows[index] = embedded.windows[row] ?? 0;
      });
      onProgress?.({ done: from + group.length, total: texts.length });
      await breathe(signal);
    }
    return { data, tokens, windows };
  }

  async #each<Result>(texts: string[], work: (text: string, row: number) => Promise<Result>, { signal, onProgress }: Control): Promise<Result[]> {
    const results: Result[] = [];
    for (const [row, text] of texts.entries()) {
      results.push(await work(text, row));
      onProgress?.({ done: results.length, total: texts.length } satisfies CallProgress);
      await breathe(signal);
    }
    return results;
  }
}

/** Requests of this thread from now on. The browser's list of them is not asked, because it ends after 250. */
class RequestCount {
  readonly #begin = performance.now();
  readonly #observer = new PerformanceObserver((list) => this.#add(list.getEntries()));
  #count = 0;

  constructor() {
    this.#observer.observe({ type: 'resource' });
  }

  now(): number {
    this.#add(this.#observer.takeRecords());
    return this.#count;
  }

  end(): void {
    this.#observer.disconnect();
  }

  #add(entries: PerformanceEntryList): void {
    this.#count += entries.filter(({ startTime }) => startTime >= this.#begin).length;
  }
}

function lengthOf(texts: string[], index: number): number {
  return texts[index]?.length ?? 0;
}

function disposed(): Error {
  return failure('disposed', 'this session has been disposed of; load the model again');
}

/** Lets messages and clicks in, among them the wish to cancel. */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  signal?.throwIfAborted();
}
