/** Files over a network that fails: a cut connection is taken up where it ended. */
import { failure } from '../errors.js';
import { joined, piecesOf } from '../pieces.js';

/** Attempts in a row without a single byte before a file is given up. */
const ATTEMPTS = 6;
/** A connection that brings nothing for so long counts as cut, in milliseconds. */
const SILENCE = 30_000;

export interface HttpOptions {
  signal?: AbortSignal | undefined;
  /** Past the browser's own cache, which may hold a damaged copy. */
  isFresh?: boolean;
  /** What comes is kept by the caller: the browser's cache need not. */
  isKept?: boolean;
  /** Milliseconds to wait before attempt number `attempt` (from 1). */
  backoff?: ((attempt: number) => number) | undefined;
}

/** Half a second, doubled each time; by chance up to a half longer, so that many tabs do not come back together. */
const doubling = (attempt: number): number => 250 * 2 ** attempt * (1 + Math.random() / 2);

/** A failure that another attempt may not have. */
class Cut extends Error {}

/**
 * The bytes of a file from `from` on, `total` being its size; a piece is there until the next one is asked for.
 *
 * Servers that know no ranges send the file from its start; what is there already is then passed over.
 */
export async function* readFrom(address: URL, from: number, total: number, options: HttpOptions): AsyncGenerator<Uint8Array> {
  let at = from;
  let attempt = 0;
  while (at < total) {
    const request = new Connection(options.signal);
    try {
      const { response, start } = await request.open(address, at, options);
      checkLength(address, response, total - start);
      let passed = at - start;
      for await (const chunk of request.chunks(response)) {
        attempt = 0;
        const fresh = chunk.subarray(Math.min(passed, chunk.length));
        passed -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        at += fresh.length;
        if (at > total) throw wrongSize(address, total, `more`);
        yield fresh;
      }
      if (at < total) throw new Cut(`the connection ended after ${at} of ${total} bytes`);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof Cut)) throw error;
      attempt += 1;
      if (attempt >= ATTEMPTS) {
        throw failure('fetch', `${address.href}: ${error.message}; ${ATTEMPTS} attempts failed, what has arrived is kept`, error);
      }
      await pause((options.backoff ?? doubling)(attempt), options.signal);
    } finally {
      request.close();
    }
  }
}

/** A small file, whole; at most `limit` bytes. */
export async function readSmall(address: URL, limit: number, options: HttpOptions): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt += 1) {
    const request = new Connection(options.signal);
    try {
      const { response } = await request.open(address, 0, options);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of request.chunks(response)) {
        parts.push(chunk.slice());
        bytes += chunk.length;
        if (bytes > limit) throw wrongSize(address, limit, 'more');
      }
      return joined(parts, bytes);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof Cut)) throw error;
      // Something may be stored that serves as well: no long wait for what is small.
      if (attempt === 3) throw failure('fetch', `${address.href}: ${error.message}`, error);
      await pause((options.backoff ?? doubling)(attempt), options.signal);
    } finally {
      request.close();
    }
  }
}

/** One request, ended by the caller's signal or by silence. */
class Connection {
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal | undefined;
  readonly #abort = (): void => this.#controller.abort(this.#signal?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    signal?.throwIfAborted();
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /** The response, and the place in the file at which it starts. */
  async open(address: URL, from: number, { isFresh, isKept }: HttpOptions): Promise<{ response: Response; start: number }> {
    const response = await this.#hearing(
      fetch(address, {
        signal: this.#controller.signal,
        cache: isFresh ? 'reload' : isKept ? 'no-store' : 'no-cache',
        credentials: 'same-origin',
        referrerPolicy: 'no-referrer',
        headers: from === 0 ? {} : { range: `bytes=${from}-` },
      }),
    );
    if (response.status === 206) {
      const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
      // A server of another origin may hide the header; then it is taken at its word, and the checksum tells if it lied.
      return { response, start: start === undefined ? from : Math.min(Number(start), from) };
    }
    if (response.ok) return { response, start: 0 };
    const { status } = response;
    if (status === 408 || status === 429 || status >= 500) throw new Cut(`the server answered ${status}`);
    if (status === 404 || status === 410) throw failure('file-missing', `${address.href} is not there (the server answered ${status})`);
    if (status === 416) throw failure('file-size', `${address.href} ends before byte ${from}`);
    throw failure('fetch', `${address.href}: the server answered ${status}`);
  }

  async *chunks(response: Response): AsyncGenerator<Uint8Array> {
    if (response.body === null) return;
    const pieces = piecesOf(response.body);
    for (;;) {
      const piece = await this.#hearing(pieces.next());
      if (piece === undefined) return;
      yield piece;
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#controller.abort();
  }

  async #hearing<Result>(work: Promise<Result>): Promise<Result> {
    this.#timer = setTimeout(() => this.#controller.abort(), SILENCE);
    try {
      return await work;
    } catch (error) {
      // Browsers say the same of a cable that is out, a server that is down and a policy that forbids.
      throw new Cut(`no connection (${error instanceof Error ? error.message : String(error)})`, { cause: error });
    } finally {
      clearTimeout(this.#timer);
    }
  }
}

/** Finds a page that is served in place of a missing file before its bytes are taken for weights. */
function checkLength(address: URL, response: Response, expected: number): void {
  const length = response.headers.get('content-length');
  if (length === null || response.headers.has('content-encoding')) return;
  if (Number(length) !== expected) throw wrongSize(address, expected, length);
}

function wrongSize(address: URL, expected: number, found: string): Error {
  return failure('file-size', `${address.href}: expected ${expected} bytes, found ${found}`);
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
