/** The same package under Node, where `fetch` does not read files. */
import { readFile } from 'node:fs/promises';
import { env } from './wasm.js';

env.wasm ??= () => readFile(new URL('./clinicalbert_bg.wasm', import.meta.url));

export * from './index.js';
