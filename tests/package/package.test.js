/** The package as it would be published: packed, installed into a new project, and used there as users use it, with no configuration. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build as esbuild } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import webpack from 'webpack';
import { launch } from '../browser/browser.js';
import { serve } from '../browser/serve.js';
import { examplesOf } from './transformers_examples.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bin = (name) => here(`node_modules/.bin/${name}`);
const model = join(process.env.ENGINE_MODELS ?? '', 'tiny/f32');

/** Runs a program; whatever it says on standard error is a failure. */
async function run(program, args, options) {
  const { stdout, stderr } = await promisify(execFile)(program, args, { maxBuffer: 1 << 24, ...options });
  assert.equal(stderr, '', `${program} ${args.join(' ')}`);
  return stdout;
}

let folder, project, tarball, browser, expected;

before(async () => {
  if (!process.env.ENGINE_MODELS) throw new Error('ENGINE_MODELS must be set; `cargo xtask test web` sets it');
  folder = await mkdtemp(join(tmpdir(), 'clinicalbert-package-'));
  const npm = (args, cwd) => promisify(execFile)('npm', args, { cwd, maxBuffer: 1 << 24 });
  const { stdout } = await npm(['pack', '--json', '--pack-destination', folder], here('../../web'));
  tarball = join(folder, JSON.parse(stdout)[0].filename);
  project = join(folder, 'project');
  await cp(here('project'), project, { recursive: true });
  await writeFile(join(project, 'package.json'), '{"name": "project", "private": true, "type": "module"}');
  await npm(['install', '--offline', '--no-audit', '--no-fund', tarball], project);
  ({ vectors: expected } = JSON.parse(await readFile(join(model, 'expected.json'), 'utf8')));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true });
});

/** Same model, same texts: the vectors that the native reference gave. */
function check({ dims, vectors, sentences, best }) {
  assert.deepEqual(dims, [2, 32]);
  vectors.flat().forEach((value, index) => assert.ok(Math.abs(value - expected.slice(0, 2).flat()[index]) < 1e-4));
  assert.equal(sentences, 2);
  assert.match(best.sequence, /^aa \w+ ac$/);
}

/** Opens a built project, the model beside it. */
async function checkInBrowser(built) {
  const server = await serve({ '/model/': model, '/': built });
  const page = await browser.newPage();
  const troubles = [];
  page.on('console', (message) => troubles.push(message.text()));
  page.on('pageerror', (error) => troubles.push(error.message));
  try {
    await page.goto(server.address);
    await page.waitForFunction(() => globalThis.result, undefined, { timeout: 60_000 }).catch(() => undefined);
    assert.deepEqual(troubles, []);
    check(await page.evaluate(() => globalThis.result));
  } finally {
    await page.close();
    await server.close();
  }
}

test('it says truly what it has, and has nothing else', async () => {
  const { messages } = await publint({ pkgDir: here('../../web'), strict: true });
  const manifest = JSON.parse(await readFile(here('../../web/package.json'), 'utf8'));
  assert.deepEqual(messages.map((message) => formatMessage(message, manifest)), []);
  await run(bin('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color']);
  const files = (await run('tar', ['tzf', tarball])).trim().split('\n');
  for (const file of files) assert.match(file, /^package\/(package\.json|README\.md|API\.md|LICENSE-\w+|dist\/[\w./-]+\.(js|d\.ts|wasm))$/);
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE', 'README.md', 'API.md']) assert.ok(files.includes(`package/${name}`), name);
});

test('what its exports name is there: the worker, the wasm files, the types of both', async () => {
  const script = `
    for (const name of ['clinicalbert', 'clinicalbert/worker', 'clinicalbert/wasm/plain.wasm', 'clinicalbert/wasm/relaxed.wasm', 'clinicalbert/package.json']) {
      console.log(import.meta.resolve(name));
    }`;
  const resolved = (await run(process.execPath, ['--input-type=module', '-e', script], { cwd: project })).trim().split('\n');
  for (const address of resolved) await readFile(fileURLToPath(address));
  const { exports } = JSON.parse(await readFile(join(project, 'node_modules/clinicalbert/package.json'), 'utf8'));
  for (const one of [exports['.'], exports['./worker']]) {
    assert.equal(Object.keys(one)[0], 'types', 'order is significant');
    await readFile(join(project, 'node_modules/clinicalbert', one.types));
  }
});

test('its types let good programs through and stop bad ones', async () => {
  for (const options of [[], ['--module', 'esnext', '--moduleResolution', 'bundler']]) await run(bin('tsc'), ['-p', project, ...options]);
});

test('Node runs it as it is', async () => {
  await cp(model, join(project, 'model'), { recursive: true });
  const script = "await import('./src/index.js'); console.log(JSON.stringify(globalThis.result));";
  check(JSON.parse(await run(process.execPath, ['--input-type=module', '-e', script], { cwd: project })));
});

test('the examples in its README run', async () => {
  await cp(model, join(project, 'models/bio-clinical-bert'), { recursive: true });
  await cp(join(process.env.ENGINE_MODELS, 'tokens'), join(project, 'models/my-tagger'), { recursive: true });
  const text = await readFile(join(project, 'node_modules/clinicalbert/README.md'), 'utf8');
  const examples = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  assert.equal(examples.length, 2);
  for (const code of examples) await run(process.execPath, ['--input-type=module', '-e', code], { cwd: project });
});

test("transformers.js's own examples run with nothing but the import changed", async () => {
  for (const [task, count] of [['feature-extraction', 3], ['fill-mask', 3]]) {
    const examples = await examplesOf(task, folder);
    assert.equal(examples.length, count, task);
    for (const { code, model: name, promised } of examples) {
      await cp(model, join(project, name), { recursive: true });
      const changed = code.replace("'@huggingface/transformers'", "'clinicalbert'");
      const script = `console.log = () => undefined;\n${changed}\nprocess.stdout.write(JSON.stringify(output)); await ${code.match(/const (\w+)/)[1]}.dispose();`;
      const output = JSON.parse(await run(process.execPath, ['--input-type=module', '-e', script], { cwd: project }));
      if (task === 'feature-extraction') {
        assert.deepEqual([output.type, output.dims.length], [promised.type, promised.rank], code);
        assert.equal(Object.keys(output.data).length, output.dims.reduce((product, length) => product * length, 1), code);
      } else {
        assert.equal(output.length, promised.fillings, code);
        for (const filling of output) {
          for (const [key, type] of Object.entries({ score: 'number', token: 'number', token_str: 'string', sequence: 'string' })) {
            assert.equal(typeof filling[key], type, `${key} of ${code}`);
          }
        }
      }
    }
  }
});

test('Vite builds it', async () => {
  await run(bin('vite'), ['build', '--logLevel', 'warn'], { cwd: project, env: { ...process.env, NODE_ENV: 'production' } });
  await checkInBrowser(join(project, 'dist'));
});

test('webpack builds it', async () => {
  const path = join(project, 'webpack');
  const stats = await promisify(webpack)({ context: project, mode: 'production', output: { path } });
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  // That a BERT in wasm has more than 244 KiB is no news.
  const others = warnings.filter(({ message }) => !/size limit|webpack performance recommendations/.test(message));
  assert.deepEqual([errors, others], [[], []]);
  await writeFile(join(path, 'index.html'), '<!doctype html><link rel="icon" href="data:,"><script src="main.js"></script>');
  await checkInBrowser(path);
});

test('esbuild builds it, the files of the package copied beside the result', async () => {
  const path = join(project, 'esbuild');
  const { errors, warnings } = await esbuild({
    absWorkingDir: project,
    entryPoints: ['src/index.js'],
    bundle: true,
    format: 'esm',
    outdir: path,
    logLevel: 'silent',
  });
  assert.deepEqual([errors, warnings], [[], []]);
  await mkdir(path, { recursive: true });
  await cp(join(project, 'node_modules/clinicalbert/dist'), path, { recursive: true, force: false });
  await writeFile(join(path, 'index.html'), '<!doctype html><link rel="icon" href="data:,"><script type="module" src="index.js"></script>');
  await checkInBrowser(path);
});
