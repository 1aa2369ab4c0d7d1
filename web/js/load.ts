/** Loads a model and starts the thread that computes. */
import { failure, requireBoolean, requireOneOf, requireOptions } from './errors.js';
import { Session as Engine } from './session.js';
import { env } from './wasm.js';
import type { ProgressCallback } from './weights/progress.js';
import { platform, type ModelSource } from './weights/source.js';
import type { Control, Host } from './session/host.js';
import { LocalHost } from './session/local.js';
import { requireSignal } from './session/options.js';
import { Session } from './session/session.js';
import { WorkerHost } from './session/worker-host.js';

/** transformers.js's names of devices and encodings, and what they are called here. */
const DEVICES = { auto: 'auto', webgpu: 'webgpu', gpu: 'webgpu', wasm: 'wasm', cpu: 'wasm' } as const;
const ENCODINGS = { auto: undefined, fp32: 'f32', fp16: 'f16', q8: 'int8', int8: 'int8' } as const;

export interface LoadOptions {
  /** `auto` (the default) takes what is faster on this machine; `gpu` is `webgpu`, `cpu` is `wasm`. */
  device?: keyof typeof DEVICES;
  /** What the weights must be stored in; by default as they are. A folder has one. */
  dtype?: keyof typeof ENCODINGS;
  progress_callback?: ProgressCallback;
  /** Ask nothing of any server, take only what is stored (default `false`). */
  local_files_only?: boolean;
  /** Cancels the load; asked for again, it goes on where it ended. */
  signal?: AbortSignal;
  /** Compute in a worker (the default where there are any), in this thread (`false`), or in a worker that imports `clinicalbert/worker`. */
  worker?: boolean | Worker;
}

/** Loads a model, to be used for several tasks. */
export async function load(model: ModelSource, options: LoadOptions = {}): Promise<Session> {
  check(options);
  const { device = 'auto', dtype = 'auto', local_files_only = false, signal, progress_callback } = options;
  signal?.throwIfAborted();
  const host = start(options.worker ?? typeof Worker !== 'undefined');
  const control = { signal, onProgress: progress_callback } as Control;
  try {
    const settings = { device: DEVICES[device], encoding: ENCODINGS[dtype], isOffline: local_files_only };
    await host.call('load', [complete(model), settings], control);
    return new Session(host);
  } catch (error) {
    host.close();
    throw error;
  }
}

function start(worker: boolean | Worker): Host {
  if (worker === false) return new LocalHost(Engine);
  if (worker !== true) return new WorkerHost(worker, false);
  // The one spelling that all bundlers know.
  return new WorkerHost(new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }), true);
}

/** With an address that means the same in a worker. */
function complete(model: ModelSource): ModelSource {
  if (typeof FileList !== 'undefined' && model instanceof FileList) return [...model];
  if (typeof model !== 'string' && !(model instanceof URL)) return model;
  // Under Node a path stays a path.
  if (platform.openFolder !== undefined) return model;
  const { localModelPath } = env;
  const here = typeof document === 'undefined' ? globalThis.location.href : document.baseURI;
  return new URL(model, new URL(localModelPath.endsWith('/') ? localModelPath : `${localModelPath}/`, here)).href;
}

function check(options: LoadOptions): void {
  const known = ['device', 'dtype', 'progress_callback', 'local_files_only', 'signal', 'worker'];
  requireOptions(options, known);
  const { device, dtype, progress_callback, local_files_only, signal, worker } = options;
  if (device !== undefined) requireOneOf('device', device, Object.keys(DEVICES) as (keyof typeof DEVICES)[]);
  if (dtype !== undefined) requireOneOf('dtype', dtype, Object.keys(ENCODINGS) as (keyof typeof ENCODINGS)[]);
  if (local_files_only !== undefined) requireBoolean('local_files_only', local_files_only);
  requireSignal(signal);
  if (progress_callback !== undefined && typeof progress_callback !== 'function') {
    throw failure('invalid-options', 'options: progress_callback must be a function');
  }
  const isWorker = typeof Worker !== 'undefined' && worker instanceof Worker;
  if (worker !== undefined && typeof worker !== 'boolean' && !isWorker) {
    throw failure('invalid-options', 'options: worker must be true, false or a Worker');
  }
}
