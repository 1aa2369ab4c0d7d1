/** What a session and its worker say to each other. */
import { isCoded, failure, type ErrorCode } from '../errors.js';
import type { WasmSource } from '../wasm.js';
import type { CallName, CallProgress } from './host.js';
import type { ProgressInfo } from '../weights/progress.js';

export type ToWorker =
  | { id: number; name: CallName; args: unknown[] }
  /** The call is no longer wanted. */
  | { id: number; cancel: true }
  /** Before the first call: where the wasm comes from, if not from beside the worker. */
  | { wasm: Exclude<WasmSource, Response> }
  /** Give everything back; the worker may be the caller's, who may go on to use it. */
  | { close: true };

export type FromWorker =
  | { id: number; result: unknown }
  | { id: number; error: SentError }
  | { id: number; progress: ProgressInfo | CallProgress };

/** An error on its way; what a structured clone would lose is spelt out. */
export interface SentError {
  code: ErrorCode;
  message: string;
}

export function toSent(error: unknown): SentError {
  if (isCoded(error)) return { code: error.code, message: error.message };
  return { code: 'internal', message: error instanceof Error ? `${error.name}: ${error.message}` : 'an unknown fault' };
}

export function fromSent({ code, message }: SentError): Error {
  return failure(code, message);
}

/** The buffers in a result, which are handed over instead of being copied. */
export function buffersOf(result: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(result)) return result.buffer instanceof ArrayBuffer ? [result.buffer] : [];
  if (typeof result !== 'object' || result === null) return [];
  return [...new Set(Object.values(result).flatMap(buffersOf))];
}
