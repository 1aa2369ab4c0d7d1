/**
 * Clinical notes in the browser and in Node. Everything runs on this machine: no function here makes a request,
 * except that the first one called fetches the package's own wasm file.
 */
export { env, type WasmSource } from './wasm.js';
export type { CodedError, ErrorCode } from './errors.js';
export { split, type Placeholder, type Section, type Sentence, type SplitNote, type SplitOptions } from './split.js';
export { Tokenizer, type Piece, type TokenizerOptions } from './tokenizer.js';
