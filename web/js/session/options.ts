/** Options that several calls share. */
import { failure } from '../errors.js';
import type { ProgressInfo } from '../weights/progress.js';
import type { CallProgress, Control } from './host.js';

export interface CallOptions {
  /** Cancels the call, which then fails with the signal's reason; the session stays usable. */
  signal?: AbortSignal;
  /** Called as texts are finished. */
  progress_callback?: (progress: CallProgress) => void;
}

export function controlOf({ signal, progress_callback }: CallOptions): Control {
  requireSignal(signal);
  if (progress_callback !== undefined && typeof progress_callback !== 'function') {
    throw failure('invalid-options', 'options: progress_callback must be a function');
  }
  return { signal, onProgress: progress_callback as ((progress: ProgressInfo | CallProgress) => void) | undefined };
}

export function requireSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw failure('invalid-options', 'options: signal must be an AbortSignal');
}

export function requireTexts(given: unknown): string[] {
  const texts = typeof given === 'string' ? [given] : given;
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== 'string')) {
    throw failure('invalid-argument', 'texts must be a string or an array of strings');
  }
  return texts as string[];
}
