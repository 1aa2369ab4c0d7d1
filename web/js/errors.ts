/** Every failure of this package is an `Error` with one of these codes. Messages may change, codes do not. */
export type ErrorCode =
  /** An argument is not of the type it must be. */
  | 'invalid-argument'
  /** An option has a value that does not exist. */
  | 'invalid-options'
  /** The wasm file could not be fetched or instantiated. */
  | 'load'
  /** The object was used after `dispose()`. */
  | 'disposed'
  /** A vocabulary or tokenizer file that cannot be used. */
  | 'tokenizer'
  /** The original program loses this note (only with `splitter: 'faithful'`, which copies its bugs). */
  | 'note-lost'
  /** A fault of this package. */
  | 'internal';

export interface CodedError extends Error {
  readonly code: ErrorCode;
}

export function failure(code: ErrorCode, message: string, cause?: unknown): CodedError {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code });
}

/** Runs `work`, which calls into wasm. A trap there says nothing that helps a caller, so it becomes a coded error. */
export function guarded<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      throw failure('internal', `a fault inside the package (${error.message}); please report it without the note`, error);
    }
    throw error;
  }
}

/** A misspelt option would otherwise be ignored, and the caller would believe in rules that were never used. */
export function requireOptions(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw failure('invalid-argument', 'options must be an object');
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw failure('invalid-options', `options: unknown name \`${unknown}\`, expected one of ${known.join(', ')}`);
  }
}

export function requireString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') {
    throw failure('invalid-argument', `${name} must be a string, found ${value === null ? 'null' : typeof value}`);
  }
}
