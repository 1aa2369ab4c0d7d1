/** Serves the package, a page for it and a model, with ranges and with the faults of real servers. */
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' };

/**
 * `fault(file, {from, count})` may change the answer for a file of the model: `{status}`, `{cutAfter}` in bytes, `{change: (bytes) => bytes}`,
 * `{pause}` in milliseconds a 64 KiB, `{isSilent: true}` for no answer at all; `count` is how often it was asked for, from 1.
 */
export async function serveModel(model, fault = () => ({})) {
  const folders = { '/model/': model, '/package/': here('../../web/dist'), '/': here('package') };
  const requests = [];
  const counts = new Map();
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const start = Object.keys(folders).find((path) => pathname.startsWith(path));
    const name = pathname.slice(start.length) || 'index.html';
    let body;
    try {
      body = await readFile(join(folders[start], normalize(`/${name}`)));
    } catch {
      return response.writeHead(404).end();
    }
    const headers = { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' };
    if (start !== '/model/') return response.writeHead(200, headers).end(body);
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    requests.push(from === 0 ? name : `${name} from ${from}`);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const { status, cutAfter, change, pause = 0, isSilent = false } = serving.fault(name, { from, count: counts.get(name) });
    if (isSilent) return;
    if (status !== undefined) return response.writeHead(status).end();
    const whole = change ? change(Buffer.from(body)) : body;
    const part = whole.subarray(from, cutAfter === undefined ? undefined : from + cutAfter);
    headers['content-length'] = whole.length - from;
    if (from > 0) headers['content-range'] = `bytes ${from}-${whole.length - 1}/${whole.length}`;
    response.writeHead(from > 0 ? 206 : 200, headers);
    for (let at = 0; at < part.length && !response.destroyed; at += 1 << 16) {
      await new Promise((written) => response.write(part.subarray(at, at + (1 << 16)), written));
      if (pause > 0) await new Promise((later) => setTimeout(later, pause));
    }
    if (part.length < whole.length - from) setTimeout(() => response.destroy(), 50);
    else response.end();
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const serving = {
    address: `http://127.0.0.1:${server.address().port}/`,
    /** Files of the model that were asked for, with where from. */
    requests,
    fault,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
  return serving;
}
