/**
 * The wasm module: compiled once, when the first function needs it, and instantiated for everybody who wants memory of their own.
 *
 * A wasm memory never shrinks, and a fault leaves it unusable. So every session has an instance to itself, and what it held goes
 * when the session goes.
 */
import type { Bindings } from './plain.js';
import { failure } from './errors.js';

/** Where a wasm file comes from: an address, a response, its bytes, or a compiled module. */
export type WasmSource = string | URL | Response | BufferSource | WebAssembly.Module;

/** Settings of the whole package, to be changed before the first call. */
export const env: {
  /** Brings `plain.wasm` or `relaxed.wasm`; by default the file beside this one. */
  wasm?: (file: string) => WasmSource | Promise<WasmSource>;
  /** Where models lie whose address is not complete: beside the page, and under Node in the working folder, unless it is changed. */
  localModelPath: string;
} = { localModelPath: './' };

/** Functions and classes over one memory. */
export interface Instance {
  readonly bindings: Bindings;
  readonly memory: WebAssembly.Memory;
}

/** The same for everybody who keeps nothing large. */
export async function wasm(): Promise<Bindings> {
  shared ??= instance().catch(forget(() => (shared = undefined)));
  return (await shared).bindings;
}

/** One with a memory of its own. */
export async function instance(): Promise<Instance> {
  compiled ??= compile().catch(forget(() => (compiled = undefined)));
  const { module, create } = await compiled;
  try {
    const bindings = create();
    const { memory } = await bindings({ module_or_path: module });
    return { bindings, memory };
  } catch (error) {
    throw notLoaded(error);
  }
}

/** Whether this machine's engine has the relaxed SIMD instructions, with which int8 models are faster. */
export const hasRelaxedSimd = (): boolean => WebAssembly.validate(simd(0x92, 0x02));

/** The wasm file that this engine is given. */
export const wasmFile = (): string => (hasRelaxedSimd() ? 'relaxed.wasm' : 'plain.wasm');

let shared: Promise<Instance> | undefined;
let compiled: Promise<{ module: WebAssembly.Module; create: () => Bindings }> | undefined;

async function compile() {
  // i16x8.relaxed_dot_i8x16_i7x16_s and, in its place, i8x16.add: the newest that either file needs.
  if (!WebAssembly.validate(simd(0x6e))) throw failure('unsupported', 'wasm SIMD is missing: it needs a browser of 2023 or later');
  // Both addresses are spelled out, so that bundlers find both files.
  const relaxed = hasRelaxedSimd();
  const glue = relaxed ? import('./relaxed.js') : import('./plain.js');
  const source = env.wasm
    ? env.wasm(wasmFile())
    : relaxed
      ? new URL('./relaxed.wasm', import.meta.url)
      : new URL('./plain.wasm', import.meta.url);
  try {
    return { module: await moduleOf(await source), create: (await glue).instance };
  } catch (error) {
    throw notLoaded(error);
  }
}

async function moduleOf(source: WasmSource): Promise<WebAssembly.Module> {
  const given = typeof source === 'string' || source instanceof URL ? await fetch(source) : source;
  // To TypeScript a module is any object.
  if (!(given instanceof Response)) return given instanceof WebAssembly.Module ? given : WebAssembly.compile(given as BufferSource);
  if (!given.ok) throw new Error(`the server answered ${given.status} for ${given.url}`);
  // A body of another type cannot be compiled as it arrives.
  const isTyped = given.headers.get('content-type')?.startsWith('application/wasm');
  return isTyped ? WebAssembly.compileStreaming(given) : WebAssembly.compile(await given.arrayBuffer());
}

/** A failed attempt is forgotten, so that the next call tries again. */
function forget(reset: () => void) {
  return (error: unknown): never => {
    reset();
    throw error;
  };
}

function notLoaded(error: unknown): Error {
  if (error instanceof Error && 'code' in error) return error;
  return failure('load', `the wasm module could not be loaded: ${error instanceof Error ? error.message : String(error)}`, error);
}

/** A module with one function that applies a vector instruction to two constants. */
function simd(...opcode: number[]): Uint8Array<ArrayBuffer> {
  const body = [0, 0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0xfd, ...opcode, 0x0b];
  const code = [1, body.length, ...body];
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 10, code.length, ...code]);
}
