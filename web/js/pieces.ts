/** Reading a stream without leaving garbage behind: a browser collects it late, and of a model's weights that is hundreds of megabytes. */

export interface Pieces {
  /** What comes next, there until the next call; `undefined` at the end. */
  next(): Promise<Uint8Array | undefined>;
  cancel(): Promise<void>;
}

/** Bytes of a piece at most; browsers bring 64 KiB at a time. */
const PIECE = 1 << 18;

export function piecesOf(stream: ReadableStream<Uint8Array>): Pieces {
  return inOneBuffer(stream) ?? inBuffersOfItsOwn(stream);
}

/** Not all streams are of bytes, and not all browsers read those into memory that they are given. */
function inOneBuffer(stream: ReadableStream<Uint8Array>): Pieces | undefined {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: 'byob' });
  } catch {
    return undefined;
  }
  let buffer = new ArrayBuffer(PIECE);
  return {
    async next() {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      // The same memory; the old buffer has lost it.
      if (value !== undefined) buffer = value.buffer;
      return done ? undefined : value;
    },
    cancel: () => reader.cancel(),
  };
}

function inBuffersOfItsOwn(stream: ReadableStream<Uint8Array>): Pieces {
  const reader = stream.getReader();
  return { next: async () => (await reader.read()).value, cancel: () => reader.cancel() };
}

/** Parts one after the other, `bytes` in all. */
export function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
