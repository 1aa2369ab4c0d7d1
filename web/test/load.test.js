/** How the wasm gets in. Each file of tests runs in a process of its own, so nothing is loaded yet when this one starts. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { env, split } from 'clinicalbert';

test('a wasm that cannot be loaded is an error with a code, and the next call tries again', async () => {
  const own = env.wasm;
  env.wasm = () => new Uint8Array([0, 1, 2, 3]);
  await assert.rejects(split('A note.'), (error) => error instanceof Error && error.code === 'load');
  env.wasm = own;
  assert.equal((await split('A note.')).sentences.length, 1);
});

test('the package names its files and needs no other package', async () => {
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
  for (const [name, target] of Object.entries(manifest.exports['.'])) {
    await assert.doesNotReject(readFile(new URL(`../${target}`, import.meta.url)), name);
  }
});
