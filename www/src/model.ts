/** The model: which, on what device, how far it is loaded, and what it turned out to be. The first of the server's list is loaded unasked. */
import { clearStorage, load, type LoadOptions, type ProgressInfo, type Session, type SessionInfo } from 'clinicalbert';
import { Action, type Report } from './action';
import { byId, bytes, element, milliseconds } from './dom';
import { acceptDrops } from './drop';
import { droppedFiles } from './folder';
import { listModels, type ListedModel } from './models';

const panel = byId('model-panel', HTMLElement);
const choice = byId('model', HTMLSelectElement);
const precision = byId('precision', HTMLSelectElement);
const device = byId('device', HTMLSelectElement);
const start = byId('load', HTMLButtonElement);
const folder = byId('folder', HTMLInputElement);
const settings = byId('model-settings', HTMLDetailsElement);
const forget = byId('forget', HTMLButtonElement);
const facts = byId('model-facts', HTMLElement);
const action = new Action(byId('model-action', HTMLElement), 'Loading the model', [start, folder]);

let listed: ListedModel[] = [];
let session: Session | undefined;
/** Settles when the load that is under way has ended, well or not. */
let loading: Promise<void> | undefined;
/** Counts what was asked for; what was chosen last counts. */
let latest = 0;

/** The model that is loaded, if one is. */
export function loadedModel(): Session | undefined {
  return session;
}

/** The model for a task that `action` shows; one that is being loaded is waited for. */
export async function modelFor(action: Action, signal: AbortSignal): Promise<Session> {
  const cancelled = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  // Nobody may be waiting for it.
  cancelled.catch(() => undefined);
  while (loading !== undefined) {
    action.say('Waiting for the model…');
    await Promise.race([loading, cancelled]);
  }
  if (session === undefined) throw new Error('Load a model first.');
  return session;
}

/** Calls `changed` whenever a model has been loaded. */
export async function startModel(changed: () => void): Promise<void> {
  const loadChosen = (): void => {
    const variant = listed[choice.selectedIndex]?.variants[precision.selectedIndex];
    if (variant !== undefined) void take(variant.path, changed);
  };
  start.addEventListener('click', loadChosen);
  folder.addEventListener('change', () => {
    const files = [...(folder.files ?? [])];
    // So that the same folder can be chosen again.
    folder.value = '';
    if (files.length > 0) void take(files, changed);
  });
  acceptDrops(panel, (dropped) => {
    void droppedFiles(dropped).then(
      (files) => take(files, changed),
      (error: unknown) => action.complain(error),
    );
  });
  forget.addEventListener('click', async () => {
    await clearStorage();
    action.say('Nothing of a model is kept any more; what is loaded stays until the tab is closed.');
  });
  choice.addEventListener('change', showPrecisions);
  listed = await listModels();
  choice.replaceChildren(...(listed.length > 0 ? listed.map(({ name }) => new Option(name)) : [new Option('none on this server')]));
  choice.disabled = precision.disabled = start.disabled = listed.length === 0;
  showPrecisions();
  if (listed.length === 0) {
    settings.open = true;
    action.say('This server has no model: choose a folder of your own.');
  } else if (savesData()) {
    action.say(`Not loaded yet, because this browser is to save data: ${precision.value}.`);
    settings.open = true;
  } else {
    loadChosen();
  }
}

/** Whether the user has told the browser to fetch no more than is needed. */
function savesData(): boolean {
  return (navigator as Navigator & { connection?: { saveData?: boolean } }).connection?.saveData === true;
}

function showPrecisions(): void {
  const variants = listed[choice.selectedIndex]?.variants ?? [];
  precision.replaceChildren(...variants.map(({ dtype, bytes: size }) => new Option(`${dtype}, ${bytes(size)}`)));
}

async function take(model: string | File[], changed: () => void): Promise<void> {
  const name = typeof model === 'string' ? (listed[choice.selectedIndex]?.name ?? model) : 'your folder';
  const number = ++latest;
  action.cancel();
  await loading;
  if (number !== latest) return;
  const began = performance.now();
  const run = action.run(`Loading ${name}…`, async (signal, report) => {
    facts.replaceChildren();
    const options: LoadOptions = { device: device.value as NonNullable<LoadOptions['device']>, signal };
    options.progress_callback = (info) => show(info, report);
    const made = await load(model, options);
    const info = await made.info();
    await session?.dispose();
    session = made;
    action.say(`${name} is ready, after ${milliseconds(performance.now() - began)}.`);
    describe(info, typeof model !== 'string');
    changed();
  });
  loading = run.finally(() => (loading = undefined));
  await loading;
}

function show(info: ProgressInfo, report: Report): void {
  if (info.status === 'progress_total') {
    report(info.loaded, info.total, `${bytes(info.loaded)} of ${bytes(info.total)}`);
    if (info.loaded === info.total) report(info.loaded, info.total, 'Preparing…');
  } else if (info.status === 'warning') {
    facts.prepend(element('p', 'warning', info.message));
  }
}

function describe({ device: used, dtype, memory, storage, selfTest, measured, config }: SessionInfo, isOwn: boolean): void {
  const rows: [string, string][] = [
    ['Runs on', used === 'webgpu' ? `GPU (${selfTest?.adapter ?? 'WebGPU'})` : 'this processor (WebAssembly)'],
    ['GPU check', verdict(selfTest)],
    ['Model', `${config['num_hidden_layers']} layers, ${config['hidden_size']} wide, ${dtype}, ${bytes(memory.weights)}`],
    ['Kept for next time', isOwn ? 'no: the files are your own' : KEPT[storage]],
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

const KEPT: Record<SessionInfo['storage'], string> = {
  opfs: 'yes, among the private files of this browser',
  cache: 'yes, in the cache of this browser',
  none: 'no: this window keeps nothing',
};

function verdict(selfTest: SessionInfo['selfTest']): string {
  if (selfTest === undefined) return 'no GPU is used';
  const difference = Number.isFinite(selfTest.maxAbs) ? `largest difference ${selfTest.maxAbs.toExponential(1)}` : 'it gave no answer';
  return selfTest.passed ? `right answers, ${difference}` : `wrong answers (${difference}): not used`;
}
