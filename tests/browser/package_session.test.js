/** Sessions in a real browser: in a worker, in the page, in a worker of the user's own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch } from './browser.js';
import { start } from './engine.js';
import { serveModel } from './model_server.js';
import { serve } from './serve.js';

const model = join(process.env.ENGINE_MODELS ?? '', 'tiny/f32');
const expected = JSON.parse(await readFile(join(model, 'expected.json'), 'utf8'));

let browser, server, page;

before(async () => {
  [browser, server] = await Promise.all([launch(), serveModel(model)]);
  page = await browser.newPage();
  await page.goto(server.address);
  await page.locator('html[data-ready=true]').waitFor();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Largest difference of two lists of numbers of one length. */
function apart(found, wanted) {
  assert.equal(found.length, wanted.length);
  return Math.max(...found.map((value, index) => Math.abs(value - wanted[index])));
}

for (const where of ['a worker', 'the page', "a worker of the user's own"]) {
  test(`in ${where} the answers are those of the reference`, async () => {
    const { vectors, dims, filled, jointly } = await page.evaluate(
      async ({ where, texts, masks }) => {
        const worker = where === 'the page' ? false : where === 'a worker' ? true : new Worker('/worker.js', { type: 'module' });
        const extractor = await pipeline('feature-extraction', './model', { device: 'wasm', worker });
        const output = await extractor(texts, { pooling: 'mean' });
        const unmasker = await pipeline('fill-mask', extractor.session);
        const options = { top_k: 600, joint: false };
        const filled = await Promise.all(masks.map((mask) => unmasker(mask, options)));
        const jointly = await Promise.all(masks.map((mask) => unmasker(mask, { top_k: 2 })));
        await extractor.dispose();
        if (worker instanceof Worker) worker.terminate();
        return { vectors: output.tolist(), dims: output.dims, filled, jointly };
      },
      { where, texts: expected.texts, masks: expected.masks.map(({ text }) => text) },
    );
    assert.deepEqual(dims, [expected.texts.length, 32]);
    // Twelve sums of f32 in another order; see the tolerance of the backends' own tests.
    vectors.forEach((vector, index) => assert.ok(apart(vector, expected.vectors[index]) < 1e-4));
    filled.forEach((masks, index) =>
      masks.forEach((fillings, mask) => {
        for (const { token, score } of fillings) assert.ok(Math.abs(score - expected.masks[index].scores[mask][token]) < 1e-5);
      }),
    );
    jointly.forEach(([best], index) => assert.equal(best.sequence, expected.masks[index].jointly[0].sequence));
  });
}

for (const where of ['a worker', 'the page']) {
  test(`in ${where} fine-tuned models give the reference's classes, with places in UTF-16`, async () => {
    const models = process.env.ENGINE_MODELS ?? '';
    const expectedOf = async (name) => JSON.parse(await readFile(join(models, name, 'expected.json'), 'utf8'));
    const [tokens, texts] = await Promise.all([expectedOf('tokens'), expectedOf('texts')]);
    const own = await serve({ '/models/': models, '/package/': fileURLToPath(new URL('../../web/dist', import.meta.url)), '/': fileURLToPath(new URL('package', import.meta.url)) });
    const opened = await browser.newPage();
    await opened.goto(own.address);
    await opened.locator('html[data-ready=true]').waitFor();
    const scripts = '🫀 aa, 咳嗽 ab é المريض 👨‍👩‍👧 zz';
    const found = await opened.evaluate(
      async ({ worker, tagged, classified, scripts }) => {
        const tagger = await pipeline('token-classification', './models/tokens', { device: 'wasm', worker });
        const classifier = await pipeline('text-classification', './models/texts', { device: 'wasm', worker });
        const result = {
          tagged: await tagger(tagged, { ignore_labels: [] }),
          grouped: await tagger(tagged, { aggregation_strategy: 'first', ignore_labels: [] }),
          classified: await classifier(classified, { top_k: 5 }),
          scripts: await tagger(scripts, { ignore_labels: [] }),
        };
        await tagger.dispose();
        await classifier.dispose();
        return result;
      },
      { worker: where === 'a worker', tagged: tokens.answers.map(({ text }) => text), classified: texts.answers.map(({ text }) => text), scripts },
    );
    await opened.close();
    await own.close();
    tokens.answers.forEach(({ tokens: wanted, grouped }, row) => {
      assert.deepEqual(found.tagged[row].map(({ entity }) => entity), wanted.map((one) => tokens.labels[one.class]));
      assert.ok(apart(found.tagged[row].map(({ score }) => score), wanted.map(({ score }) => score)) < 1e-4);
      assert.deepEqual(found.grouped[row].map((one) => one.entity_group), grouped.first.map((one) => one.entity_group));
    });
    texts.answers.forEach(({ scores }, row) => {
      const inOrder = texts.labels.map((label) => found.classified[row].find((one) => one.label === label).score);
      assert.ok(apart(inOrder, scores) < 1e-4);
    });
    const words = found.scripts.map(({ start, end }) => scripts.slice(start, end));
    for (const word of ['🫀', 'aa', '咳', '嗽', 'ab', 'المريض', 'zz']) assert.ok(words.includes(word), `${word} of ${words.join('|')}`);
  });
}

test('texts longer than the model allows are cut into windows as by native, and without pooling said to be cut', async (context) => {
  const native = process.env.NATIVE ?? '';
  if (!existsSync(native)) return context.skip('needs the native binary: cargo build');
  const long = 'aa ab ac 🫀 ba. '.repeat(300);
  const args = ['embed', '--model', model, '--text', long, '--json'];
  const wanted = async (...flags) => JSON.parse((await promisify(execFile)(native, [...args, ...flags])).stdout.split('\n')[0]);
  const [whole, narrow] = await Promise.all([wanted(), wanted('--max-seq-length', '256', '--overlap', '64')]);
  const found = await page.evaluate(async (long) => {
    const session = await load('./model', { device: 'wasm' });
    const of = async (options) => {
      const { data, texts } = await session.embed(long, options);
      return { vector: [...data], facts: texts[0] };
    };
    const result = [
      await of({ pooling: 'mean' }),
      await of({ pooling: 'mean', windows: { size: 256, overlap: 64 } }),
      (await session.embed(long)).texts[0],
    ];
    await session.dispose();
    return result;
  }, long);
  for (const [number, { embedding, tokens, windows }] of [whole, narrow].entries()) {
    assert.ok(windows > 1);
    assert.deepEqual([found[number].facts.tokens, found[number].facts.windows], [tokens, windows]);
    assert.ok(apart(found[number].vector, embedding) < 1e-4);
  }
  assert.notEqual(whole.windows, narrow.windows);
  assert.equal(found[2].isCut, true);
});

test('without pooling tokens have vectors whose mean is the text’s, and places in UTF-16', async () => {
  const { tokens, mean, facts } = await page.evaluate(async () => {
    const session = await load('./model', { device: 'wasm' });
    const text = '🫀 aa ab';
    const output = await session.embed(text, { offsets: true });
    const mean = await session.embed(text, { pooling: 'mean' });
    await session.dispose();
    return { tokens: output.tolist()[0], mean: [...mean.data], facts: output.texts[0] };
  });
  assert.equal(tokens.length, 5);
  assert.deepEqual(facts.offsets, [null, [0, 2], [3, 5], [6, 8], null]);
  const own = mean.map((_, axis) => tokens.reduce((sum, token) => sum + token[axis], 0) / tokens.length);
  assert.ok(apart(own, mean) < 1e-5);
});

test('surprise is what the mask of a word says of it', async () => {
  const { surprise, score } = await page.evaluate(async () => {
    const session = await load('./model', { device: 'wasm' });
    const [surprise] = await session.surprise(['aa 🫀 ab']);
    const filled = await session.fillMask('aa 🫀 [MASK]', { top_k: 600 });
    await session.dispose();
    return { surprise, score: filled.find(({ token_str }) => token_str === 'ab').score };
  });
  assert.deepEqual(surprise.map(({ start, end }) => [start, end]), [[0, 2], [3, 5], [6, 8]]);
  assert.ok(Math.abs(surprise[2].nats + Math.log(score)) < 1e-4);
});

test('a call that is cancelled in the middle leaves the session usable', async () => {
  const { name, done, after } = await page.evaluate(async () => {
    const session = await load('./model', { device: 'wasm' });
    const cancel = new AbortController();
    const texts = Array.from({ length: 2000 }, (_, index) => `aa ab ${'ac '.repeat(index % 200)}`);
    let done = 0;
    const told = (progress) => {
      done = progress.done;
      cancel.abort();
    };
    const name = await session.embed(texts, { pooling: 'mean', signal: cancel.signal, progress_callback: told }).catch((error) => error.name);
    const after = await session.embed('aa', { pooling: 'mean' });
    await session.dispose();
    return { name, done, after: after.dims };
  });
  assert.equal(name, 'AbortError');
  assert.ok(done < 2000);
  assert.deepEqual(after, [1, 32]);
});

test('dispose ends the worker, and calls after it say so', async () => {
  const workers = async (count) => {
    // The browser takes a moment to end one.
    for (let tries = 0; page.workers().length !== count && tries < 50; tries += 1) await page.waitForTimeout(100);
    assert.equal(page.workers().length, count);
  };
  await workers(0);
  const code = await page.evaluate(async () => {
    globalThis.session = await load('./model', { device: 'wasm' });
    await session.embed('aa');
    return session.info().then(() => 'alive');
  });
  assert.equal(code, 'alive');
  await workers(1);
  const after = await page.evaluate(async () => {
    const pending = session.embed(Array(500).fill('aa ab'), { pooling: 'mean' }).catch(({ code }) => code);
    await session.dispose();
    return [await pending, await session.embed('aa').catch(({ code }) => code)];
  });
  assert.deepEqual(after, ['disposed', 'disposed']);
  await workers(0);
});

test('info counts the requests since the load, in a worker and in the page', async () => {
  const ask = (times) => Promise.all(Array.from({ length: times }, () => fetch('/worker.js').then((response) => response.text()))).then(() => undefined);
  for (const worker of [true, false]) {
    const counts = [];
    await page.evaluate(async (worker) => void (globalThis.session = await load('./model', { device: 'wasm', worker })), worker);
    // The browser's own list ends after 250.
    for (const asks of [0, 2, 300]) {
      await (worker ? page.workers()[0] : page).evaluate(ask, asks);
      counts.push(await page.evaluate(() => session.info().then(({ requests }) => requests)));
    }
    await page.evaluate(() => session.dispose());
    assert.deepEqual(counts, [0, 2, 302], `worker: ${worker}`);
  }
});

test('a worker that cannot be started is an error with advice', async () => {
  const { code, message } = await page.evaluate(async () => {
    const worker = new Worker('/nowhere.js', { type: 'module' });
    return load('./model', { worker }).catch(({ code, message }) => ({ code, message }));
  });
  assert.equal(code, 'worker');
  assert.match(message, /worker: false/);
});

test('errors keep their codes on the way from the worker, and say nothing of the text', async () => {
  const errors = await page.evaluate(async () => {
    const session = await load('./model', { device: 'wasm' });
    const failures = [
      session.fillMask(`secret ${'aa '.repeat(600)}[MASK]`),
      session.embed('secret', { layer: 99 }),
      session.embed('secret', { pooling: 'mean', windows: { size: 9999 } }),
    ];
    const told = await Promise.all(failures.map((one) => one.then(() => 'no error', ({ code, message }) => ({ code, message }))));
    await session.dispose();
    return told;
  });
  assert.deepEqual(errors.map(({ code }) => code), ['text', 'invalid-options', 'invalid-options']);
  for (const { message } of errors) assert.doesNotMatch(message, /secret/);
});

test('page and command line give the same vectors', async (context) => {
  const native = process.env.NATIVE ?? '';
  if (!existsSync(native)) return context.skip('needs the native binary: cargo build');
  const { stdout } = await promisify(execFile)(native, ['embed', '--model', model, '--text', 'aa ab ba', '--json']);
  const { embedding } = JSON.parse(stdout.split('\n')[0]);
  const found = await page.evaluate(async () => {
    const session = await load('./model', { device: 'wasm' });
    const { data } = await session.embed('aa ab ba', { pooling: 'mean' });
    await session.dispose();
    return [...data];
  });
  assert.ok(apart(found, embedding) < 1e-4);
});

test('with verify a GPU is compared with the processor before it is used', async () => {
  const withGpu = await start();
  try {
    const { device, verified } = await (await withGpu.open()).evaluate(async () => {
      const { load } = await import('/package/index.js');
      const session = await load('/models/tiny/int8/', { device: 'webgpu', verify: true });
      const info = await session.info();
      await session.dispose();
      return info;
    });
    assert.equal(device, 'webgpu');
    assert.equal(verified.passed, true);
    assert.ok(verified.cosine < 1, 'bytes here, numbers there: never quite equal');
  } finally {
    await withGpu.stop();
  }
});
