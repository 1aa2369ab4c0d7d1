/** A session whose work is done in a worker, so that the page stays usable. */
import { failure } from '../errors.js';
import { env, wasmFile } from '../wasm.js';
import type { CallName, Calls, Control, Host } from './host.js';
import { fromSent, type FromWorker, type ToWorker } from './messages.js';

interface Waiting extends Control {
  resolve: (result: never) => void;
  reject: (reason: unknown) => void;
}

export class WorkerHost implements Host {
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready: Promise<void>;
  #next = 0;
  #isClosed = false;

  /** `isOwn`: the worker was started for this session and ends with it. */
  constructor(
    private readonly worker: Worker,
    private readonly isOwn: boolean,
  ) {
    worker.addEventListener('message', this.#onMessage);
    worker.addEventListener('error', this.#onError);
    this.#ready = this.#sendWasm();
  }

  async call<Name extends CallName>(name: Name, args: Calls[Name]['arguments'], control: Control): Promise<Calls[Name]['result']> {
    await this.#ready;
    control.signal?.throwIfAborted();
    if (this.#isClosed) throw disposed();
    const id = this.#next++;
    const { signal } = control;
    const cancel = (): void => {
      this.#send({ id, cancel: true });
      // At once: the worker may be in the middle of a long step, and stops after it.
      this.#waiting.get(id)?.reject(signal?.reason);
      this.#waiting.delete(id);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await new Promise<Calls[Name]['result']>((resolve, reject) => {
        this.#waiting.set(id, { ...control, resolve, reject });
        this.#send({ id, name, args });
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.isOwn) this.worker.terminate();
    else this.#send({ close: true });
    this.#forget();
    this.#fail(disposed());
  }

  async #sendWasm(): Promise<void> {
    if (env.wasm === undefined) return;
    // The worker's engine is this one.
    const source = await env.wasm(wasmFile());
    this.#send({ wasm: source instanceof Response ? await source.arrayBuffer() : source instanceof URL ? source.href : source });
  }

  #send(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  readonly #onMessage = ({ data }: MessageEvent<FromWorker>): void => {
    const waiting = this.#waiting.get(data.id);
    if (waiting === undefined) return;
    if ('progress' in data) {
      waiting.onProgress?.(data.progress);
      return;
    }
    this.#waiting.delete(data.id);
    if ('error' in data) waiting.reject(fromSent(data.error));
    else waiting.resolve(data.result as never);
  };

  readonly #onError = (event: ErrorEvent): void => {
    event.preventDefault();
    const reason = 'its script could not be loaded or a policy forbids it. Pass `worker: false` to do without, or a worker of your own';
    this.#fail(failure('worker', `the worker could not be started: ${reason}`));
  };

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #forget(): void {
    this.worker.removeEventListener('message', this.#onMessage);
    this.worker.removeEventListener('error', this.#onError);
  }
}

function disposed(): Error {
  return failure('disposed', 'this session has been disposed of; load the model again');
}
