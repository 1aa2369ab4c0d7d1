/** The files of a model, wherever they lie. */
import { failure } from './errors.js';
import { joined, piecesOf } from './pieces.js';

/** What a file may come as. */
export type FileBody = Response | Blob | BufferSource | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Where the folder that `native convert --to web` wrote is: its address, or a function that brings its files by their names (from a
 * cache, a file picker, an archive). Nothing is fetched from anywhere else.
 */
export type ModelSource = string | URL | ((file: string, signal: AbortSignal | undefined) => FileBody | Promise<FileBody>);

/** Opens a file. */
export async function open(source: ModelSource, file: string, signal: AbortSignal | undefined): Promise<FileBody> {
  throwIfAborted(signal);
  try {
    const body = typeof source === 'function' ? await source(file, signal) : await fetch(address(source, file), { signal: signal ?? null });
    if (body instanceof Response && !body.ok) {
      const code = body.status === 404 ? 'file-missing' : 'fetch';
      throw failure(code, `${file} could not be fetched: the server answered ${body.status}`);
    }
    return body;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') throw error;
    throw failure('fetch', `${file} could not be fetched: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/** The bytes of an opened file as they arrive; a piece is there until the next one is asked for. */
export async function* chunks(body: FileBody, file: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  if (body instanceof ArrayBuffer) return yield new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return yield new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  const stream = body instanceof Response ? body.body : body instanceof Blob ? body.stream() : body;
  if (stream === null) return;
  try {
    for await (const chunk of 'getReader' in stream ? iterate(stream) : stream) {
      throwIfAborted(signal);
      yield chunk;
    }
  } catch (error) {
    throw brokenOff(error, file, signal);
  }
}

/** Not all browsers can iterate over a stream. */
async function* iterate(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pieces = piecesOf(stream);
  try {
    for (let piece = await pieces.next(); piece !== undefined; piece = await pieces.next()) yield piece;
  } finally {
    await pieces.cancel().catch(() => {});
  }
}

function brokenOff(error: unknown, file: string, signal: AbortSignal | undefined): unknown {
  throwIfAborted(signal);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error;
  return failure('fetch', `${file} broke off: ${error instanceof Error ? error.message : String(error)}`, error);
}

/** All bytes of a small file. */
export async function read(source: ModelSource, file: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of chunks(await open(source, file, signal), file, signal)) parts.push(part.slice());
  return joined(parts, parts.reduce((sum, { length }) => sum + length, 0));
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw failure('aborted', 'the load was ended by its signal', signal.reason);
}

/** The file in a folder, whether or not the folder's address ends with a slash. */
function address(folder: string | URL, file: string): URL {
  const base = new URL(folder, typeof document === 'undefined' ? undefined : document.baseURI);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(file, base);
}
