/** Serves folders on localhost, and remembers what was asked for. */
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** The built page. */
const page = { '/': fileURLToPath(new URL('../../www/dist', import.meta.url)) };

/** `folders`: where each path begins, the longest first. */
export async function serve(folders = page) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    requests.push(`${request.method} ${pathname}`);
    const [start, folder] = Object.entries(folders).find(([start]) => pathname.startsWith(start)) ?? ['/', ''];
    const rest = pathname.slice(start.length);
    const file = join(folder, normalize(`/${rest === '' || rest.endsWith('/') ? `${rest}index.html` : rest}`));
    try {
      const body = await readFile(file);
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    address: `http://127.0.0.1:${server.address().port}/`,
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}
