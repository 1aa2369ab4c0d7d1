/** What a session holds goes when it goes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './engine.js';

const CYCLES = 20;

let engine, page;

before(async () => {
  engine = await start();
  page = await engine.open();
});
after(async () => {
  await engine?.stop();
});

/** Loads, uses, disposes; gives collected memory time to go back. */
const cycle = (folder, device) =>
  page.evaluate(
    async ([folder, device]) => {
      // Fetched once: the test driver makes the browser keep what was fetched, up to 200 MB.
      const kept = ((globalThis.kept ??= {})[folder] ??= {});
      const source = async (name) => (kept[name] ??= await (await fetch(`${folder}/${name}`)).arrayBuffer());
      const session = await Session.load(source, { device });
      await session.embed('aa ab ac');
      const memory = session.memory();
      await session.dispose();
      for (let turn = 0; turn < 3; turn++) {
        await new Promise((later) => setTimeout(later, 50));
        gc();
      }
      return memory;
    },
    [folder, device],
  );

for (const device of ['wasm', 'webgpu']) {
  test(`after ${CYCLES} loads on ${device} the browser holds what it held before`, async () => {
    // Fetched and compiled before: then memory is that of a model of no size.
    await cycle('/models/mini/f32', device);
    await cycle('/models/tiny/f32', device);
    const before = engine.memory();
    let report;
    for (let number = 0; number < CYCLES; number++) report = await cycle('/models/mini/f32', device);
    const grown = engine.memory() / before - 1;
    console.log(`${device}: ${(before / 2 ** 20).toFixed(0)} MiB before, ${(100 * grown).toFixed(1)} % more after; ${JSON.stringify(report)}`);
    assert.ok(grown < 0.1, `${(100 * grown).toFixed(1)} % more`);
  });
}

test('wasm holds the weights once', async () => {
  const { weights, wasm } = await cycle('/models/base/f32', 'wasm');
  const empty = (await cycle('/models/tiny/f32', 'wasm')).wasm;
  console.log(`weights ${weights}, wasm ${wasm}, of which ${empty} without a model`);
  assert.ok(wasm - empty < 1.3 * weights);
});
