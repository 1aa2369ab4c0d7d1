/**
 * Clinical notes in the browser and in Node. Everything runs on this machine: no function here makes a request, except that the first
 * one called fetches the package's own wasm file, and that `load` and `pipeline` fetch the model from where they are told.
 */
export { env, type WasmSource } from './wasm.js';
export type { CodedError, ErrorCode } from './errors.js';
export { split, type Placeholder, type Section, type Sentence, type SplitNote, type SplitOptions } from './split.js';
export { Tokenizer, type Piece, type TokenizerOptions } from './tokenizer.js';
export { pipeline, type FeatureExtractionPipeline, type FillMaskPipeline, type Pipeline, type Task } from './pipeline.js';
export { load, type LoadOptions } from './load.js';
export { Session, type SessionInfo } from './session/session.js';
/** A model in this thread, without worker and storage: what `load` and `pipeline` are built on. */
export { Session as Engine } from './session.js';
export type { EmbedOptions, Features, Pooling, TextFacts } from './session/embed.js';
export type { FillMaskCall, FillMaskOptions, FillMaskOutput, FillMaskSingle } from './session/fill-mask.js';
export type { CallOptions } from './session/options.js';
export type { CallProgress } from './session/host.js';
export type { Surprise } from './session/engine.js';
export { Tensor, type NestedArray, type TensorData, type TensorType } from './tensor.js';
export type { ModelSource } from './weights/source.js';
export type { ProgressCallback, ProgressInfo } from './weights/progress.js';
export { clearStorage } from './weights/store.js';
