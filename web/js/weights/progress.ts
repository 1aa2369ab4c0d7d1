/** Progress of a load, told in transformers.js's events. */
import type { NamedFile } from './manifest.js';

/** Bytes of one file. */
export interface FileProgress {
  loaded: number;
  total: number;
}

/** The events of transformers.js 4.3, and `warning`. `name` is the model as the caller named it. */
export type ProgressInfo =
  | { status: 'initiate' | 'download' | 'done'; name: string; file: string }
  /** `progress` is in percent. */
  | { status: 'progress'; name: string; file: string; progress: number; loaded: number; total: number }
  | { status: 'progress_total'; name: string; progress: number; loaded: number; total: number; files: Record<string, FileProgress> }
  | { status: 'ready'; task: string; model: string }
  /** Something did not go as wished and the load goes on without it: `not-stored`, `fetched-again`. */
  | { status: 'warning'; name: string; code: 'not-stored' | 'fetched-again'; message: string };

export type ProgressCallback = (info: ProgressInfo) => void;

/** Shortest time between two reports of bytes, in milliseconds: more than people can see only slows the page down. */
const INTERVAL = 50;

export class Progress {
  readonly #files: Record<string, FileProgress> = {};
  #reported = -Infinity;

  constructor(
    readonly name: string,
    readonly tell: ProgressCallback,
  ) {}

  /** Files whose bytes count; all of them, so that the total is right from the start. */
  expect(files: readonly NamedFile[]): void {
    for (const { name, bytes } of files) this.#files[name] = { loaded: 0, total: bytes };
  }

  initiate(file: string): void {
    const known = this.#files[file];
    if (known !== undefined) known.loaded = 0;
    this.tell({ status: 'initiate', name: this.name, file });
  }

  /** The file, or what is missing of it, is asked for over the network. */
  download(file: string): void {
    this.tell({ status: 'download', name: this.name, file });
  }

  add(file: string, bytes: number): void {
    const known = this.#files[file];
    if (known === undefined) return;
    known.loaded += bytes;
    if (performance.now() - this.#reported >= INTERVAL) this.#report(file, known);
  }

  done(file: string): void {
    const known = this.#files[file];
    if (known !== undefined) this.#report(file, known);
    this.tell({ status: 'done', name: this.name, file });
  }

  warn(code: 'not-stored' | 'fetched-again', message: string): void {
    this.tell({ status: 'warning', name: this.name, code, message });
  }

  #report(file: string, { loaded, total }: FileProgress): void {
    this.#reported = performance.now();
    this.tell({ status: 'progress', name: this.name, file, progress: percent(loaded, total), loaded, total });
    let [allLoaded, allTotal] = [0, 0];
    const files: Record<string, FileProgress> = {};
    for (const [name, one] of Object.entries(this.#files)) {
      allLoaded += one.loaded;
      allTotal += one.total;
      files[name] = { ...one };
    }
    const progress = percent(allLoaded, allTotal);
    this.tell({ status: 'progress_total', name: this.name, progress, loaded: allLoaded, total: allTotal, files });
  }
}

function percent(loaded: number, total: number): number {
  return total === 0 ? 100 : (100 * loaded) / total;
}
