/** A model's folder on disk, under Node. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { failure } from '../errors.js';
import { missing, type Source } from './source.js';

/** The folder that a path or an address of a file means; `undefined` for addresses on a network. */
export function openFolder(model: string | URL, base: string): Source | undefined {
  const text = String(model);
  if (/^https?:/.test(text)) return undefined;
  const folder = text.startsWith('file:') ? fileURLToPath(text) : resolve(base, text);
  const name = basename(folder);
  const sized = async (file: string, expected: (bytes: number) => boolean, wanted: string): Promise<string> => {
    const path = join(folder, file);
    const { size } = await stat(path).catch((error: unknown) => {
      throw missing(file, folder, error);
    });
    if (!expected(size)) throw failure('file-size', `${path}: expected ${wanted} bytes, found ${size}`);
    return path;
  };
  return {
    name,
    small: async (file, limit) => new Uint8Array(await readFile(await sized(file, (bytes) => bytes <= limit, `at most ${limit}`))),
    async *read(file, from, total, { signal }) {
      const path = await sized(file, (bytes) => bytes === total, String(total));
      for await (const chunk of createReadStream(path, { start: from, signal, highWaterMark: 1 << 18 })) yield chunk as Uint8Array;
    },
  };
}
