/** The same package under Node, where `fetch` does not read files. */
import { readFile } from 'node:fs/promises';
import { env } from './wasm.js';
import { openFolder } from './weights/node-folder.js';
import { platform } from './weights/source.js';

env.wasm ??= (file) => readFile(new URL(`./${file}`, import.meta.url));
platform.openFolder = (model) => openFolder(model, env.localModelPath);

export * from './index.js';
