/** Downloading, keeping and sharing models in a real browser, through its own storage and locks. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, launchOnDisk } from './browser.js';
import { serveModel } from './model_server.js';

// Of several megabytes, so that it is stored in several pieces.
const model = join(process.env.ENGINE_MODELS ?? '', 'mini/f32');
const manifest = JSON.parse(await readFile(join(model, 'manifest.json'), 'utf8'));
const shard = manifest.shards[0].name;

let browser, server, context, page;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());
beforeEach(async () => {
  server = await serveModel(model);
  context = await browser.newContext();
  page = await open();
});
afterEach(async () => {
  await context.close();
  await server.close();
});

async function open(within = context) {
  const opened = await within.newPage();
  await opened.goto(server.address);
  await opened.locator('html[data-ready=true]').waitFor();
  return opened;
}

/** Loads the model in a page: its info and the first numbers of a vector, or the error. */
const loadIn = (opened, options = {}) =>
  opened.evaluate(async (options) => {
    const events = [];
    try {
      const session = await load('./model', { device: 'wasm', ...options, progress_callback: (event) => events.push(event) });
      const { data } = await session.embed('aa ab', { pooling: 'mean' });
      const info = await session.info();
      await session.dispose();
      const warnings = events.filter(({ status }) => status === 'warning').map(({ code }) => code);
      return { head: [...data.subarray(0, 4)], storage: info.storage, requests: info.requests, warnings, events: events.length };
    } catch (error) {
      return { code: error.code, message: error.message };
    }
  }, options);

const weights = () => server.requests.filter((request) => request.startsWith('weights'));

test('a model is fetched once, kept, and used without a network', async () => {
  const first = await loadIn(page);
  assert.equal(first.storage, 'opfs');
  assert.equal(first.requests, 0);
  assert.deepEqual(weights(), manifest.shards.map(({ name }) => name));
  await page.reload();
  await page.locator('html[data-ready=true]').waitFor();
  const asked = weights().length;
  assert.deepEqual((await loadIn(page)).head, first.head);
  assert.equal(weights().length, asked, 'nothing is fetched again');
  assert.deepEqual((await loadIn(page, { local_files_only: false, worker: false })).head, first.head);
  server.fault = () => ({ status: 503 });
  assert.deepEqual((await loadIn(page)).head, first.head, 'the server is down');
});

test('a cut download goes on where it ended, in the session and after a reload', async () => {
  server.fault = (name, { count }) => (name === shard && count === 1 ? { cutAfter: 3_000_000 } : {});
  const { head } = await loadIn(page);
  assert.ok(head);
  assert.match(weights()[1], new RegExp(`^${shard} from [2-3]\\d{6}$`));

  await page.evaluate(() => clearStorage());
  server.requests.length = 0;
  server.fault = (name) => (name === shard ? { pause: 20 } : {});
  const arrived = page.evaluate(
    (shard) =>
      new Promise((resolve) => {
        const told = ({ status, file, loaded }) => status === 'progress' && file === shard && loaded > 2_500_000 && resolve(loaded);
        load('./model', { device: 'wasm', progress_callback: told }).catch(() => undefined);
      }),
    shard,
  );
  await arrived;
  await page.reload();
  await page.locator('html[data-ready=true]').waitFor();
  server.fault = () => ({});
  server.requests.length = 0;
  assert.deepEqual((await loadIn(page)).head, head);
  assert.match(weights()[0], new RegExp(`^${shard} from [2-9]\\d{6}$`));
});

test('two tabs that want the same model fetch it once', async () => {
  server.fault = (name) => (name === shard ? { pause: 5 } : {});
  const other = await open();
  const [one, two] = await Promise.all([loadIn(page), loadIn(other)]);
  assert.deepEqual(one.head, two.head);
  assert.deepEqual(weights(), manifest.shards.map(({ name }) => name));
});

test('a damaged file is fetched once more, then refused, and nothing of it is kept', async () => {
  const damage = (bytes) => {
    bytes[4321] ^= 1;
    return bytes;
  };
  server.fault = (name, { count }) => (name === shard && count === 1 ? { change: damage } : {});
  assert.deepEqual((await loadIn(page)).warnings, ['fetched-again']);
  await page.evaluate(() => clearStorage());
  server.fault = (name) => (name === shard ? { change: damage } : {});
  const { code, message } = await loadIn(page);
  assert.equal(code, 'file-hash');
  assert.match(message, new RegExp(shard));
  server.fault = () => ({});
  assert.ok((await loadIn(page)).head, 'the page is still usable');
});

test('without room the model is used and not kept', async () => {
  const profile = await launchOnDisk();
  try {
    const opened = await open(profile);
    const devtools = await profile.newCDPSession(opened);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: server.address.slice(0, -1), quotaSize: 2_000_000 });
    for (const worker of [true, false]) {
      const { head, storage, warnings } = await loadIn(opened, { worker });
      assert.ok(head);
      assert.equal(storage, 'opfs');
      assert.ok(warnings.includes('not-stored'), `worker ${worker}: ${warnings.join()}`);
    }
  } finally {
    await profile.close();
  }
});

test('where nothing can be kept a model is fetched every time', async () => {
  await page.evaluate(() => {
    navigator.storage.getDirectory = () => Promise.reject(new DOMException('private', 'SecurityError'));
    caches.open = () => Promise.reject(new DOMException('private', 'SecurityError'));
  });
  for (const _ of [1, 2]) {
    server.requests.length = 0;
    const { head, storage } = await loadIn(page, { worker: false });
    assert.ok(head);
    assert.equal(storage, 'none');
    assert.deepEqual(weights(), manifest.shards.map(({ name }) => name));
  }
});

test('without a file system of the origin the Cache API keeps models', async () => {
  await page.evaluate(() => {
    navigator.storage.getDirectory = () => Promise.reject(new DOMException('private', 'SecurityError'));
  });
  const first = await loadIn(page, { worker: false });
  assert.equal(first.storage, 'cache');
  const asked = weights().length;
  assert.deepEqual((await loadIn(page, { worker: false })).head, first.head);
  assert.equal(weights().length, asked);
  await page.evaluate(() => clearStorage());
  await loadIn(page, { worker: false });
  assert.equal(weights().length, 2 * asked, 'clearStorage removes what was kept');
});

test('a cancelled load says so at once, and goes on when it is asked for again', async () => {
  server.fault = (name) => (name === shard ? { pause: 30 } : {});
  const name = await page.evaluate(async (shard) => {
    const cancel = new AbortController();
    const told = ({ status, file, loaded }) => status === 'progress' && file === shard && loaded > 1_200_000 && cancel.abort();
    return load('./model', { device: 'wasm', signal: cancel.signal, progress_callback: told }).catch((error) => error.name);
  }, shard);
  assert.equal(name, 'AbortError');
  server.fault = () => ({});
  server.requests.length = 0;
  assert.ok((await loadIn(page)).head);
  assert.match(weights()[0], new RegExp(`^${shard} from \\d{7}$`));
});

test('a load is cancelled at once whatever it waits for, and the next one works', async () => {
  const begin = (opened, options = {}) =>
    opened.evaluate((options) => {
      globalThis.cancel = new AbortController();
      globalThis.outcome = load('./model', { device: 'wasm', ...options, signal: cancel.signal }).then(() => 'loaded', ({ name }) => name);
    }, options);
  const cancelled = (opened) => opened.evaluate(() => (cancel.abort(), outcome));
  const asked = async (file) => {
    for (let tries = 0; !server.requests.some((request) => request.startsWith(file)); tries += 1) {
      assert.ok(tries < 1000, `${file} is not asked for`);
      await page.waitForTimeout(20);
    }
  };
  const early = await page.evaluate(() => load('./model', { signal: AbortSignal.abort() }).catch(({ name }) => name));
  assert.deepEqual([early, server.requests], ['AbortError', []]);
  for (const worker of [true, false]) {
    for (const file of ['manifest.json', 'vocab.txt', shard]) {
      // What has come before is kept, and not asked for again.
      await page.evaluate(() => clearStorage());
      server.requests.length = 0;
      server.fault = (name) => (name === file ? { isSilent: true } : {});
      await begin(page, { worker });
      await asked(file);
      assert.equal(await cancelled(page), 'AbortError', file);
    }
  }
  // The other tab is downloading, this one waits for it.
  const other = await open();
  server.requests.length = 0;
  await begin(other);
  await asked(shard);
  server.requests.length = 0;
  await begin(page);
  await asked('manifest.json');
  await page.waitForTimeout(300);
  assert.equal(await cancelled(page), 'AbortError');
  assert.deepEqual(weights(), [], 'it waited and did not ask');
  assert.equal(await cancelled(other), 'AbortError');
  server.fault = () => ({});
  assert.ok((await loadIn(page)).head);
});

test('a name as model hubs have them is looked for beside the page, and no other host is asked', async () => {
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  const failed = await page.evaluate(() => pipeline('fill-mask', 'emilyalsentzer/Bio_ClinicalBERT').catch(({ code, message }) => ({ code, message })));
  assert.equal(failed.code, 'file-missing');
  assert.ok(failed.message.startsWith(`${server.address}emilyalsentzer/Bio_ClinicalBERT/manifest.json is not there`), failed.message);
  const unnamed = await page.evaluate(() => pipeline('fill-mask').catch(({ code, message }) => ({ code, message })));
  assert.equal(unnamed.code, 'invalid-argument');
  for (const url of asked) assert.ok(url.startsWith(server.address), url);
});

test('what cannot be loaded says why', async () => {
  server.fault = (name) => (name === shard ? { status: 404 } : {});
  const missing = await loadIn(page);
  assert.equal(missing.code, 'file-missing');
  server.fault = (name) => (name === 'manifest.json' ? { change: () => Buffer.from('<!doctype html>') } : {});
  assert.equal((await loadIn(page)).code, 'weights');
  const bare = await page.evaluate(() => load('ftp://example.org/model').catch(({ code, message }) => ({ code, message })));
  assert.equal(bare.code, 'invalid-argument');
});
