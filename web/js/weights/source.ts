/** Where the files of a model come from. */
import { failure } from '../errors.js';
import { piecesOf } from '../pieces.js';
import { readFrom, readSmall, type HttpOptions } from './http.js';

/**
 * A model, as callers may name it: the address of a folder that `native convert --to web` wrote (under Node also its path), or the folder
 * itself, as a handle or as the list of its files.
 */
export type ModelSource = string | URL | FileSystemDirectoryHandle | FileList | readonly File[];

export interface Source {
  /** Shown in progress and errors. */
  readonly name: string;
  /** The files come over a network, so what has arrived is worth keeping. */
  readonly address?: URL;
  /** A file that is small, whole. */
  small(file: string, limit: number, options: HttpOptions): Promise<Uint8Array>;
  /** A file's bytes from `from` on, `total` being its size; a piece is there until the next one is asked for. */
  read(file: string, from: number, total: number, options: HttpOptions): AsyncGenerator<Uint8Array>;
}

/** A folder on a server. */
export function httpSource(folder: URL): Source {
  const base = new URL(folder);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const at = (file: string): URL => {
    const address = new URL(file, base);
    address.search = base.search;
    return address;
  };
  return {
    name: base.href,
    address: base,
    small: (file, limit, options) => readSmall(at(file), limit, options),
    read: (file, from, total, options) => readFrom(at(file), from, total, options),
  };
}

/** A folder whose files can be opened by name. */
export function localSource(name: string, open: (file: string) => Promise<Blob>): Source {
  const sized = async (file: string, total: number): Promise<Blob> => {
    const blob = await open(file);
    if (blob.size !== total) throw failure('file-size', `${file}: expected ${total} bytes, found ${blob.size}`);
    return blob;
  };
  return {
    name,
    small: async (file, limit) => {
      const blob = await open(file);
      if (blob.size > limit) throw failure('file-size', `${file}: expected at most ${limit} bytes, found ${blob.size}`);
      return new Uint8Array(await blob.arrayBuffer());
    },
    async *read(file, from, total, { signal }) {
      const pieces = piecesOf((await sized(file, total)).slice(from).stream());
      try {
        for (let piece = await pieces.next(); piece !== undefined; piece = await pieces.next()) {
          signal?.throwIfAborted();
          yield piece;
        }
      } finally {
        await pieces.cancel();
      }
    },
  };
}

/** A folder of the user, opened by its handle. */
export function handleSource(folder: FileSystemDirectoryHandle): Source {
  return localSource(folder.name, async (file) => {
    try {
      return await (await folder.getFileHandle(file)).getFile();
    } catch (error) {
      throw missing(file, folder.name, error);
    }
  });
}

/** Files that a user has chosen or dropped; those beside the first `manifest.json` count. */
export function filesSource(files: Iterable<File>): Source {
  const all = [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  const manifests = all.map(({ path }) => path).filter((path) => path === 'manifest.json' || path.endsWith('/manifest.json'));
  const [manifest] = manifests.sort((a, b) => a.length - b.length);
  if (manifest === undefined) {
    const found = all.length === 1 ? '1 file' : `${all.length} files`;
    throw failure('file-missing', `no manifest.json among the ${found}: choose a folder that \`native convert --to web\` wrote`);
  }
  const folder = manifest.slice(0, -'manifest.json'.length);
  const named = new Map(all.map(({ file, path }) => [path, file]));
  const name = folder.replace(/\/$/, '') || 'files';
  return localSource(name, async (file) => {
    const found = named.get(folder + file);
    if (found === undefined) throw missing(file, name);
    return found;
  });
}

export function missing(file: string, folder: string, cause?: unknown): Error {
  return failure('file-missing', `${file} is not in ${folder}: it must lie beside manifest.json`, cause);
}

/** Set under Node, where addresses of files and paths are read from disk. */
export const platform: { openFolder?: (folder: string | URL) => Source | undefined } = {};

/** The source that `model` means; addresses are complete already. */
export function sourceOf(model: ModelSource): Source {
  if (typeof model === 'string' || model instanceof URL) {
    const folder = platform.openFolder?.(model);
    if (folder !== undefined) return folder;
    const address = new URL(model);
    if (address.protocol === 'http:' || address.protocol === 'https:') return httpSource(address);
    throw failure('invalid-argument', `model: expected an address that begins with http: or https:, found ${address.protocol}`);
  }
  return 'getFileHandle' in model ? handleSource(model) : filesSource(model);
}
