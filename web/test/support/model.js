/** A model that is only bytes, an engine that only checks them, and a server with the faults of real ones. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { gathered } from '../../dist/weights/stored-file.js';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Files of a model: name → bytes. */
export function makeModel(shardBytes = [3_000_000, 1_500_001]) {
  const vocabulary = Buffer.from('[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n');
  const shards = shardBytes.map((bytes, index) => [`weights-0000${index + 1}-of-0000${shardBytes.length}.bin`, randomBytes(bytes)]);
  const named = (name, bytes) => ({ name, bytes: bytes.length, sha256: sha256(bytes) });
  const manifest = {
    encoding: 'int8',
    shards: shards.map(([name, bytes]) => named(name, bytes)),
    tokenizer: { vocabulary: named('vocab.txt', vocabulary) },
    bytes: shardBytes.reduce((sum, one) => sum + one, 0),
  };
  return new Map([['manifest.json', Buffer.from(JSON.stringify(manifest))], ['vocab.txt', vocabulary], ...shards]);
}

const coded = (code, message) => Object.assign(new Error(message), { code });

/** Checks what it is given as the real one does; its model is the bytes, or `model`. */
export function makeEngine(model) {
  return {
    async load(open, { signal }) {
      const text = Buffer.from(await open('manifest.json')).toString();
      const { shards, tokenizer } = JSON.parse(text);
      const parts = [];
      const wanted = [tokenizer.vocabulary, ...shards];
      let next = open(wanted[0].name);
      for (const [number, { name, bytes, sha256: expected }] of wanted.entries()) {
        const hash = createHash('sha256');
        let found = 0;
        const body = await next;
        // As the real one does, which does not close this one if the other fails.
        next = wanted[number + 1] && open(wanted[number + 1].name);
        for await (const part of body) {
          signal?.throwIfAborted();
          hash.update(part);
          found += part.length;
          if (found > bytes) throw coded('file-size', name);
          parts.push(Buffer.from(part));
        }
        if (found < bytes) throw coded('file-size', name);
        if (hash.digest('hex') !== expected) throw coded('file-hash', name);
      }
      return model ?? { bytes: Buffer.concat(parts.slice(1)) };
    },
  };
}

/** A store in memory with room for `room` bytes. */
export function makeStore(room = Infinity) {
  const values = new Map();
  const used = () => [...values.values()].reduce((sum, value) => sum + value.length, 0);
  const store = {
    kind: 'opfs',
    values,
    get: async (key) => values.get(key),
    async put(key, value) {
      if (used() + value.length > room) throw new DOMException('full', 'QuotaExceededError');
      values.set(key, value.slice());
    },
    open: (key) => gathered(store, key),
    remove: async (key) => void values.delete(key),
    clear: async () => values.clear(),
  };
  return store;
}

/**
 * Serves `files` with ranges. `fault(name, {from, count})` may change an answer: `{status}`, `{cutAfter: bytes}`, `{ignoreRange: true}`,
 * `{bytes}`; `count` is how often the file was asked for, from 1.
 */
export async function serveModel(files, fault = () => ({})) {
  const requests = [];
  const counts = new Map();
  const server = createServer((request, response) => {
    const name = new URL(request.url, 'http://localhost').pathname.replace('/model/', '');
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    requests.push(asked === undefined ? name : `${name} from ${asked}`);
    const { status, cutAfter, ignoreRange, bytes = files.get(name) } = fault(name, { from: Number(asked ?? 0), count });
    if (status !== undefined || bytes === undefined) return response.writeHead(status ?? 404).end();
    const from = ignoreRange ? 0 : Number(asked ?? 0);
    const body = bytes.subarray(from);
    const headers = { 'content-length': body.length, 'content-type': 'application/octet-stream' };
    if (from > 0) response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
    else response.writeHead(200, headers);
    if (cutAfter === undefined || cutAfter >= body.length) return response.end(body);
    response.write(body.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 20));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    address: new URL(`http://127.0.0.1:${server.address().port}/model/`),
    requests,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
