/** The side of a session that computes, in this thread (`local.ts`) or in a worker (`worker-host.ts`). */
import type { Embedded, EmbedSettings, Facts, Filled, FilledJointly, MemoryUse, Surprise, TokenVectors } from './engine.js';
import type { Piece } from '../tokenizer.js';
import type { LoadSettings } from '../weights/load.js';
import type { ProgressInfo } from '../weights/progress.js';
import type { ModelSource } from '../weights/source.js';
import type { StorageKind } from '../weights/store.js';

/** Progress of a call on several texts. */
export interface CallProgress {
  /** Texts that are finished. */
  readonly done: number;
  /** All texts of the call. */
  readonly total: number;
}

export interface HostFacts extends Facts {
  readonly memory: MemoryUse;
  /** Where downloaded weights are kept. */
  readonly storage: StorageKind;
  /** Requests since the model was ready, as the browser counts them, in the thread that computes. */
  readonly requests: number;
}

/** What a host does: arguments and result of every call, all of which can be posted to a worker. */
export interface Calls {
  load: { arguments: [model: ModelSource, settings: LoadSettings]; result: HostFacts };
  facts: { arguments: []; result: HostFacts };
  embed: { arguments: [texts: string[], settings: EmbedSettings]; result: Embedded };
  tokenVectors: { arguments: [texts: string[], layer: number | undefined]; result: TokenVectors[] };
  fillMask: { arguments: [texts: string[], topK: number]; result: Filled[][][] };
  fillJointly: { arguments: [texts: string[], topK: number]; result: FilledJointly[][] };
  surprise: { arguments: [texts: string[]]; result: Surprise[][] };
  tokenize: { arguments: [texts: string[]]; result: Piece[][] };
}

export type CallName = keyof Calls;

export interface Control {
  signal?: AbortSignal | undefined;
  /** Progress of the load, or of a call on several texts. */
  onProgress?: ((progress: ProgressInfo | CallProgress) => void) | undefined;
}

export interface Host {
  call<Name extends CallName>(name: Name, args: Calls[Name]['arguments'], control: Control): Promise<Calls[Name]['result']>;
  /** Ends all work and gives the memory back. */
  close(): void;
}
