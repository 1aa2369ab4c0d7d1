/** Bringing a model's files through a network that fails. The engine here only compares checksums, as the real one does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModel } from '../dist/weights/load.js';
import { filesSource, httpSource } from '../dist/weights/source.js';
import { noStore } from '../dist/weights/store.js';
import { makeEngine, makeModel, makeStore, serveModel } from './support/model.js';

const files = makeModel();
const [first, second] = [...files.keys()].filter((name) => name.startsWith('weights'));
const weights = Buffer.concat([files.get(first), files.get(second)]);

/** Loads over HTTP; everything that happened is in the result. */
async function load(context, { fault, store = noStore, signal, settings, onEvent } = {}) {
  const server = await serveModel(files, fault);
  context.after(() => server.close());
  const events = [];
  const tell = (event) => {
    events.push(event);
    onEvent?.(event);
  };
  const given = { device: 'auto', isOffline: false, ...settings };
  // Waits are cut short; everything else is as it is for users.
  const loading = loadModel(given, { engine: makeEngine(), source: httpSource(server.address), store, tell, signal, backoff: () => 5 });
  const outcome = await loading.then((model) => ({ model }), (error) => ({ error }));
  return { ...outcome, events, requests: server.requests, address: server.address, unplug: server.close };
}

test('files arrive whole and in order, and progress ends at 100 percent', async (context) => {
  const { model, events, requests } = await load(context);
  assert.ok(model.bytes.equals(weights));
  assert.deepEqual(requests, ['manifest.json', 'vocab.txt', first, second]);
  const last = events.filter(({ status }) => status === 'progress_total').at(-1);
  assert.equal(last.progress, 100);
  assert.equal(last.total, weights.length + files.get('vocab.txt').length);
  assert.deepEqual(last.files[second], { loaded: 1_500_001, total: 1_500_001 });
  assert.deepEqual(
    events.filter(({ file }) => file === first).map(({ status }) => status).filter((status, index, all) => status !== all[index - 1]),
    ['initiate', 'download', 'progress', 'done'],
  );
});

test('a cut connection is taken up where it ended', async (context) => {
  const fault = (name, { count }) => (name === first && count < 3 ? { cutAfter: 1_000_000 } : {});
  const { model, requests } = await load(context, { fault });
  assert.ok(model.bytes.equals(weights));
  const ranges = requests.filter((request) => request.startsWith(first));
  assert.equal(ranges.length, 3);
  assert.match(ranges[1], / from \d{4,}$/);
});

test('a server that knows no ranges costs time and nothing else', async (context) => {
  const fault = (name, { count }) => (name === first ? { ignoreRange: true, ...(count === 1 && { cutAfter: 2_000_000 }) } : {});
  const { model } = await load(context, { fault });
  assert.ok(model.bytes.equals(weights));
});

test('servers that are busy are asked again, and given up with words when they stay so', async (context) => {
  const twice = await load(context, { fault: (name, { count }) => (name === second && count < 3 ? { status: 503 } : {}) });
  assert.ok(twice.model.bytes.equals(weights));
  const always = await load(context, { fault: (name) => (name === second ? { status: 503 } : {}) });
  assert.equal(always.error.code, 'fetch');
  assert.match(always.error.message, /weights-00002-of-00002\.bin: the server answered 503; 6 attempts failed/);
});

test('what is not there, and a page in its place, are told apart', async (context) => {
  const missing = await load(context, { fault: (name) => (name === second ? { status: 404 } : {}) });
  assert.equal(missing.error.code, 'file-missing');
  const page = await load(context, { fault: (name) => (name === second ? { bytes: Buffer.from('<!doctype html>') } : {}) });
  assert.equal(page.error.code, 'file-size');
  assert.match(page.error.message, /expected 1500001 bytes, found 15/);
});

test('a damaged file is fetched once more, and then refused', async (context) => {
  const damaged = Buffer.from(files.get(first));
  damaged[77] ^= 1;
  const once = await load(context, { fault: (name, { count }) => (name === first && count === 1 ? { bytes: damaged } : {}) });
  assert.ok(once.model.bytes.equals(weights));
  assert.ok(once.events.some(({ status, code }) => status === 'warning' && code === 'fetched-again'));
  const store = makeStore();
  const always = await load(context, { store, fault: (name) => (name === first ? { bytes: damaged } : {}) });
  assert.equal(always.error.code, 'file-hash');
  assert.equal(always.requests.filter((name) => name === first).length, 2);
  assert.ok(![...store.values.keys()].some((key) => key.startsWith(JSON.parse(files.get('manifest.json')).shards[0].sha256)), 'nothing damaged stays');
});

test('what is stored is not fetched again, and what was cut off goes on where it ended', async (context) => {
  const store = makeStore();
  const cut = await load(context, { store, fault: (name) => (name === second ? { status: 404 } : {}) });
  assert.equal(cut.error.code, 'file-missing');
  const rest = await load(context, { store });
  assert.deepEqual(rest.requests, ['manifest.json', second]);
  const again = await load(context, { store });
  assert.deepEqual(again.requests, ['manifest.json']);
  assert.ok(again.model.bytes.equals(weights));
  // As after a reload in the middle of the first shard.
  const { sha256 } = JSON.parse(files.get('manifest.json')).shards[0];
  store.values.set(sha256, files.get(first).subarray(0, 2_000_000));
  const resumed = await load(context, { store });
  assert.deepEqual(resumed.requests, ['manifest.json', `${first} from 2000000`]);
  assert.ok(resumed.model.bytes.equals(weights));
  assert.deepEqual((await load(context, { store })).requests, ['manifest.json'], 'the rest was put behind what was there');
});

test('a store that was damaged heals', async (context) => {
  const store = makeStore();
  await load(context, { store });
  const { sha256 } = JSON.parse(files.get('manifest.json')).shards[1];
  store.values.get(sha256)[5] ^= 1;
  const { model, requests } = await load(context, { store });
  assert.ok(model.bytes.equals(weights));
  assert.deepEqual(requests, ['manifest.json', second]);
  assert.deepEqual((await load(context, { store })).requests, ['manifest.json']);
  // Longer than it should be.
  store.values.set(sha256, Buffer.concat([files.get(second), files.get(second)]));
  assert.ok((await load(context, { store })).model.bytes.equals(weights));
  assert.deepEqual((await load(context, { store })).requests, ['manifest.json']);
});

test('a store that cannot be opened costs the keeping and not the load', async (context) => {
  const store = { ...makeStore(), open: () => Promise.reject(new DOMException('in use elsewhere', 'NoModificationAllowedError')) };
  const { model, events } = await load(context, { store });
  assert.ok(model.bytes.equals(weights));
  assert.match(events.find(({ status }) => status === 'warning').message, /not kept for next time: the store refused/);
});

test('without room the load goes on and says that it is not kept', async (context) => {
  const { model, events } = await load(context, { store: makeStore(1_000_000) });
  assert.ok(model.bytes.equals(weights));
  const warnings = events.filter(({ status }) => status === 'warning');
  assert.deepEqual(warnings.map(({ code }) => code), ['not-stored', 'not-stored']);
  assert.match(warnings[0].message, /there is no room left/);
});

test('a cancelled load ends at once with the reason, and goes on when it is asked for again', async (context) => {
  const store = makeStore();
  const cancel = new AbortController();
  const onEvent = ({ status, file }) => status === 'done' && file === first && cancel.abort();
  const { error } = await load(context, { store, signal: cancel.signal, onEvent });
  assert.equal(error.name, 'AbortError');
  const { model, requests } = await load(context, { store });
  assert.deepEqual(requests, ['manifest.json', second]);
  assert.ok(model.bytes.equals(weights));
});

test('offline, what was loaded once is there', async (context) => {
  const store = makeStore();
  const { address, unplug } = await load(context, { store });
  unplug();
  const settings = { device: 'auto', isOffline: false };
  const rest = { engine: makeEngine(), source: httpSource(address), store, tell: () => undefined, backoff: () => 5 };
  const model = await loadModel(settings, rest);
  assert.ok(model.bytes.equals(weights));
  await assert.rejects(loadModel(settings, { ...rest, store: makeStore() }), { code: 'fetch' });
});

test('a load that may ask no server asks none', async (context) => {
  const store = makeStore();
  const settings = { isOffline: true };
  const empty = await load(context, { store, settings });
  assert.equal(empty.error.code, 'fetch');
  assert.match(empty.error.message, /local_files_only/);
  const server = await serveModel(files);
  context.after(() => server.close());
  const rest = { engine: makeEngine(), source: httpSource(server.address), store, tell: () => undefined };
  await loadModel({ device: 'auto', isOffline: false }, rest);
  const asked = server.requests.length;
  const model = await loadModel({ device: 'auto', isOffline: true }, rest);
  assert.ok(model.bytes.equals(weights));
  assert.deepEqual([empty.requests.length, server.requests.length - asked], [0, 0]);
});

test('a manifest that is none is told apart from one that is missing', async (context) => {
  const page = await load(context, { fault: () => ({ bytes: Buffer.from('<!doctype html>') }) });
  assert.equal(page.error.code, 'weights');
  assert.match(page.error.message, /manifest\.json of .* is not JSON/);
  const other = await load(context, { fault: () => ({ bytes: Buffer.from('{"shards": [{"name": "a"}]}') }) });
  assert.equal(other.error.code, 'weights');
  assert.equal((await load(context, { fault: () => ({ status: 404 }) })).error.code, 'file-missing');
});

test('other precision than was asked for is refused before a byte of weights is fetched', async (context) => {
  const { error, requests } = await load(context, { settings: { encoding: 'f32' } });
  assert.equal(error.code, 'invalid-options');
  assert.match(error.message, /dtype f32 was asked for, the weights of .* are int8/);
  assert.deepEqual(requests, ['manifest.json']);
});

test('files that a user drops are a model too', async () => {
  const dropped = [...files].map(([name, bytes]) => Object.defineProperty(new File([bytes], name), 'webkitRelativePath', { value: `mine/${name}` }));
  const context = { engine: makeEngine(), store: makeStore(), tell: () => undefined };
  const settings = { device: 'auto', isOffline: false };
  const model = await loadModel(settings, { ...context, source: filesSource(dropped) });
  assert.ok(model.bytes.equals(weights));
  assert.equal(context.store.values.size, 0, 'what is on disk is not stored again');
  const short = dropped.filter(({ name }) => name !== second);
  await assert.rejects(loadModel(settings, { ...context, source: filesSource(short) }), {
    code: 'file-missing',
    message: /weights-00002-of-00002\.bin is not in mine/,
  });
  assert.throws(() => filesSource(dropped.slice(1)), { code: 'file-missing', message: /no manifest\.json among the 3 files/ });
});
