/** The model: which, on what device, how far it is loaded, and what it turned out to be. */
import { load, type LoadOptions, type ProgressInfo, type Session, type SessionInfo } from 'clinicalbert';
import { Action, type Report } from './action';
import { byId, bytes, element, milliseconds } from './dom';
import { droppedFiles } from './folder';
import { listModels, type ListedModel } from './models';

const panel = byId('model-panel', HTMLElement);
const choice = byId('model', HTMLSelectElement);
const precision = byId('precision', HTMLSelectElement);
const device = byId('device', HTMLSelectElement);
const start = byId('load', HTMLButtonElement);
const folder = byId('folder', HTMLInputElement);
const facts = byId('model-facts', HTMLElement);
const action = new Action(byId('model-action', HTMLElement), 'Loading the model', [start, folder]);

let listed: ListedModel[] = [];
let session: Session | undefined;

/** The model that is loaded, if one is. */
export function loadedModel(): Session | undefined {
  return session;
}

/** Calls `changed` whenever a model has been loaded. */
export async function startModel(changed: () => void): Promise<void> {
  start.addEventListener('click', () => {
    const variant = listed[choice.selectedIndex]?.variants[precision.selectedIndex];
    if (variant !== undefined) void take(variant.path, changed);
  });
  folder.addEventListener('change', () => {
    const files = [...(folder.files ?? [])];
    // So that the same folder can be chosen again.
    folder.value = '';
    if (files.length > 0) void take(files, changed);
  });
  panel.addEventListener('dragover', (event) => event.preventDefault());
  panel.addEventListener('drop', async (event) => {
    event.preventDefault();
    if (event.dataTransfer !== null) await take(await droppedFiles(event.dataTransfer), changed);
  });
  choice.addEventListener('change', showPrecisions);
  listed = await listModels();
  choice.replaceChildren(...(listed.length > 0 ? listed.map(({ name }) => new Option(name)) : [new Option('none on this server')]));
  choice.disabled = precision.disabled = start.disabled = listed.length === 0;
  showPrecisions();
}

function showPrecisions(): void {
  const variants = listed[choice.selectedIndex]?.variants ?? [];
  precision.replaceChildren(...variants.map(({ dtype, bytes: size }) => new Option(`${dtype}, ${bytes(size)}`)));
}

async function take(model: string | File[], changed: () => void): Promise<void> {
  const began = performance.now();
  const loaded = await action.run('Loading…', async (signal, report) => {
    const options: LoadOptions = { device: device.value as NonNullable<LoadOptions['device']>, signal };
    options.progress_callback = (info) => show(info, report);
    const made = await load(model, options);
    return { made, info: await made.info() };
  });
  if (loaded === undefined) return;
  await session?.dispose();
  session = loaded.made;
  const name = typeof model === 'string' ? (listed[choice.selectedIndex]?.name ?? model) : 'your folder';
  action.say(`${name} is ready, after ${milliseconds(performance.now() - began)}.`);
  describe(loaded.info);
  changed();
}

function show(info: ProgressInfo, report: Report): void {
  if (info.status === 'progress_total') {
    report(info.loaded, info.total, `${bytes(info.loaded)} of ${bytes(info.total)}`);
    if (info.loaded === info.total) report(info.loaded, info.total, 'Preparing…');
  } else if (info.status === 'warning') {
    facts.prepend(element('p', 'warning', info.message));
  }
}

function describe({ device: used, dtype, memory, storage, selfTest, measured, config }: SessionInfo): void {
  const rows: [string, string][] = [
    ['Runs on', used === 'webgpu' ? `GPU (${selfTest?.adapter ?? 'WebGPU'})` : 'this processor (WebAssembly)'],
    ['GPU check', verdict(selfTest)],
    ['Model', `${config['num_hidden_layers']} layers, ${config['hidden_size']} wide, ${dtype}, ${bytes(memory.weights)}`],
    ['Kept for next time', storage === 'none' ? 'no: this window does not store anything, or the files are your own' : `yes (${storage})`],
  ];
  if (measured !== undefined) {
    const time = (value: number): string => (Number.isFinite(value) ? milliseconds(value) : 'failed');
    rows.push(['Measured, a layer', `WebAssembly ${time(measured.wasm)}, GPU ${time(measured.webgpu)}`]);
  }
  const list = element('dl', 'facts');
  for (const [term, text] of rows) list.append(element('dt', '', term), element('dd', '', text));
  const warnings = [...facts.querySelectorAll('.warning')];
  facts.replaceChildren(...warnings, list);
}

function verdict(selfTest: SessionInfo['selfTest']): string {
  if (selfTest === undefined) return 'no GPU is used';
  const difference = Number.isFinite(selfTest.maxAbs) ? `largest difference ${selfTest.maxAbs.toExponential(1)}` : 'it gave no answer';
  return selfTest.passed ? `right answers, ${difference}` : `wrong answers (${difference}): not used`;
}
