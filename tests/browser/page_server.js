/** Serves the built page with models beside it and with the headers of a careful server, and remembers what was asked for. */
import { createServer } from 'node:http';
import { readFile, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const page = fileURLToPath(new URL('../../www/dist', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** `models`: name → folder of weights for the web. */
export async function servePage(models = {}) {
  const requests = [];
  const list = [];
  for (const [name, folder] of Object.entries(models)) {
    const { encoding, bytes } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
    list.push({ name, variants: [{ dtype: encoding, path: `models/${name}`, bytes }] });
  }
  const fileAt = (pathname) => {
    const [, kind, name, ...rest] = pathname.split('/');
    if (kind === 'models' && models[name]) return join(models[name], normalize(`/${rest.join('/')}`));
    return join(page, normalize(pathname === '/' ? '/index.html' : pathname));
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    requests.push(`${request.method} ${pathname}`);
    if (serving.isDown) return request.socket.destroy();
    if (pathname === '/models/models.json') return response.writeHead(200, { 'content-type': TYPES['.json'] }).end(JSON.stringify(list));
    const file = fileAt(pathname);
    try {
      const body = await readFile(file);
      const { size } = await stat(file);
      // Slowly where a test wants to be quicker.
      if (serving.delay > 0) await new Promise((later) => setTimeout(later, serving.delay));
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-length': size }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const serving = {
    address: `http://127.0.0.1:${server.address().port}/`,
    requests,
    isDown: false,
    delay: 0,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
  return serving;
}
