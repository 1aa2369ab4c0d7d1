/** The worker in which a session computes. A page may start it itself, or import it in a worker of its own. */
import { Session } from './session.js';
import { LocalHost } from './session/local.js';
import { buffersOf, toSent, type FromWorker, type ToWorker } from './session/messages.js';
import { env } from './wasm.js';

const post = globalThis.postMessage as (message: FromWorker, transfer?: Transferable[]) => void;
const cancels = new Map<number, AbortController>();
let host = new LocalHost(Session);

globalThis.addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if ('wasm' in data) env.wasm = () => data.wasm;
  else if ('close' in data) {
    host.close();
    host = new LocalHost(Session);
  } else if ('cancel' in data) cancels.get(data.id)?.abort();
  else void answer(data.id, data);
});

async function answer(id: number, { name, args }: Extract<ToWorker, { name: unknown }>): Promise<void> {
  const cancel = new AbortController();
  cancels.set(id, cancel);
  try {
    const result = await host.call(name, args as never, { signal: cancel.signal, onProgress: (progress) => post({ id, progress }) });
    post({ id, result }, buffersOf(result));
  } catch (error) {
    post({ id, error: toSent(error) });
  } finally {
    cancels.delete(id);
  }
}
