/** Serves the built page with models beside it, and remembers what was asked for. */
import { createServer } from 'node:http';
import { readFile, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const BUILT = fileURLToPath(new URL('../../www/dist', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** `models`: name → folder of weights for the web, or several, one a precision; the page's own ones if not given. */
export async function servePage(models) {
  const requests = [];
  const list = [];
  for (const [name, folders] of Object.entries(models ?? {})) {
    const variants = [folders].flat().map(async (folder, index) => {
      const { encoding, bytes } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
      return { dtype: encoding, path: `models/${name}/${index}`, bytes };
    });
    list.push({ name, variants: await Promise.all(variants) });
  }
  const fileAt = (pathname) => {
    const [, kind, name, index, ...rest] = pathname.split('/');
    if (kind === 'models' && models?.[name]) return join([models[name]].flat()[index], normalize(`/${rest.join('/')}`));
    return join(serving.page, normalize(pathname === '/' ? '/index.html' : pathname));
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    requests.push(`${request.method} ${pathname}`);
    await serving.before(pathname);
    if (serving.isDown) return request.socket.destroy();
    if (models !== undefined && pathname === '/models/models.json') return response.writeHead(200, { 'content-type': TYPES['.json'] }).end(JSON.stringify(list));
    const file = fileAt(pathname);
    try {
      const body = await readFile(file);
      const { size } = await stat(file);
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
    /** The folder of the built page. */
    page: BUILT,
    /** Awaited before a request is answered. */
    before: async () => undefined,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
  return serving;
}
