/** The same package under Node, where `fetch` does not read files. */
import { readFile } from 'node:fs/promises';
import { env } from './wasm.js';

env.wasm ??= (file) => readFile(new URL(`./${file}`, import.meta.url));

export * from './index.js';
