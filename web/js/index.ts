/**
 * Clinical notes in the browser and in Node. Everything runs on this machine: no function here makes a request, except that the first
 * one called fetches the package's own wasm file, and that `Session.load` fetches the model from where it is told.
 */
export { env, type WasmSource } from './wasm.js';
export type { CodedError, ErrorCode } from './errors.js';
export { split, type Placeholder, type Section, type Sentence, type SplitNote, type SplitOptions } from './split.js';
export { Tokenizer, type Piece, type TokenizerOptions } from './tokenizer.js';
export {
  Session,
  type EmbedOptions,
  type Embeddings,
  type Filled,
  type FilledJointly,
  type FillOptions,
  type LoadOptions,
  type MemoryReport,
  type SessionInfo,
} from './session.js';
export type { DeviceName, DeviceStorage, Measured, SelfTest } from './device.js';
export type { FileBody, ModelSource } from './source.js';
