/** Instantiates the wasm module once, when the first function needs it. */
import initialize, * as bindings from './clinicalbert.js';
import { failure } from './errors.js';

/** Where the wasm comes from: an address, a response, its bytes, or a compiled module. */
export type WasmSource = string | URL | Response | BufferSource | WebAssembly.Module;

/** Settings of the whole package, to be changed before the first call. */
export const env: {
  /** The wasm, or a function that brings it; by default the file beside this one. */
  wasm?: WasmSource | (() => WasmSource | Promise<WasmSource>);
} = {};

let loading: Promise<typeof bindings> | undefined;

/** The instantiated module. A failed attempt is forgotten, so that the next call tries again. */
export function wasm(): Promise<typeof bindings> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw failure('load', `the wasm module could not be loaded: ${error instanceof Error ? error.message : String(error)}`, error);
  });
  return loading;
}

async function load(): Promise<typeof bindings> {
  const source = typeof env.wasm === 'function' ? await env.wasm() : env.wasm;
  await initialize(source === undefined ? undefined : { module_or_path: source });
  return bindings;
}
