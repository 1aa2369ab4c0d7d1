/** Every failure of this package is an `Error` with one of these codes. Messages may change, codes do not. */
export type ErrorCode =
  /** An argument is not of the type it must be. */
  | 'invalid-argument'
  /** An option has a value that does not exist, or that the model cannot work with. */
  | 'invalid-options'
  /** The wasm file could not be fetched or instantiated. */
  | 'load'
  /** This browser lacks something that the package needs (SIMD in wasm). */
  | 'unsupported'
  /** The object was used after `dispose()`, or after a fault that closed it. */
  | 'disposed'
  /** The caller's signal ended it. */
  | 'aborted'
  /** A vocabulary or tokenizer file that cannot be used. */
  | 'tokenizer'
  /** The original program loses this note (only with `splitter: 'faithful'`, which copies its bugs). */
  | 'note-lost'
  /** A text that the task cannot do anything with: no mask in it, or too long. */
  | 'text'
  /** Ids that the model cannot take: none, too many, or unknown ones. */
  | 'batch'
  /** A file of the model could not be fetched. */
  | 'fetch'
  /** A file of the model is not there. */
  | 'file-missing'
  /** A file of the model is shorter or longer than its manifest says. */
  | 'file-size'
  /** A file of the model is damaged, or of another conversion. */
  | 'file-hash'
  /** The model was converted by another version of the program. */
  | 'manifest-version'
  /** The manifest is none, or its numbers disagree. */
  | 'weights'
  /** The manifest describes a model that cannot be. */
  | 'config'
  /** A tensor is missing or does not fit: a damaged manifest, or a head that this model does not have. */
  | 'tensor'
  /** There is no GPU that can be used. */
  | 'no-gpu'
  /** The GPU allows less than the model needs. */
  | 'limit'
  /** This tab, or the GPU, has no room for it. */
  | 'out-of-memory'
  /** The GPU is gone, and the model with it: load it again. */
  | 'device-lost'
  /** The device failed in another way. */
  | 'backend'
  /** The worker could not be started. */
  | 'worker'
  /** A fault of this package. */
  | 'internal';

export interface CodedError extends Error {
  readonly code: ErrorCode;
}

export function failure(code: ErrorCode, message: string, cause?: unknown): CodedError {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code });
}

export function isCoded(error: unknown): error is CodedError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

/** Runs `work`, which calls into wasm. A trap there says nothing that helps a caller, so it becomes a coded error. */
export function guarded<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw coded(error);
  }
}

/** A trap as a coded error; anything else as it is. */
export function coded(error: unknown): unknown {
  if (!(error instanceof WebAssembly.RuntimeError)) return error;
  return failure('internal', `a fault inside the package (${error.message}); please report it without the note`, error);
}

/** A misspelt option would otherwise be ignored, and the caller would believe in rules that were never used. */
export function requireOptions(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw failure('invalid-argument', 'options must be an object');
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw failure('invalid-options', `options: unknown name \`${unknown}\`, expected one of ${known.join(', ')}`);
  }
}

/** A value that must be one of a few. */
export function requireOneOf<Value extends string>(name: string, value: unknown, known: readonly Value[]): asserts value is Value {
  if (!known.includes(value as Value)) {
    throw failure('invalid-options', `options: ${name} must be one of ${known.join(', ')}, found ${shown(value)}`);
  }
}

/** A whole number of at least `least`. */
export function requireCount(name: string, value: unknown, least: number): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < least) {
    throw failure('invalid-options', `options: ${name} must be a whole number of at least ${least}, found ${shown(value)}`);
  }
}

export function requireBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw failure('invalid-options', `options: ${name} must be true or false, found ${shown(value)}`);
}

/** Options are short; what is long could be a text that was put in the wrong place, and is not repeated. */
function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && /^[\w-]{1,20}$/.test(value) ? value : value === null ? 'null' : typeof value;
}

export function requireString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') {
    throw failure('invalid-argument', `${name} must be a string, found ${value === null ? 'null' : typeof value}`);
  }
}
