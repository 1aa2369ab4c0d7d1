/** What a download has to know of `manifest.json`. The engine checks the rest, and that it all fits together. */
import { failure } from '../errors.js';

/** Longest manifest that is read, in bytes; that of BERT-large has 60 kB. */
export const MAX_MANIFEST = 2 << 20;

/** A file beside the manifest. */
export interface NamedFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of its bytes, hexadecimal. */
  readonly sha256: string;
}

export interface Manifest {
  readonly encoding: unknown;
  /** The vocabulary and the shards, in the order in which they are wanted. */
  readonly files: readonly NamedFile[];
}

export function readManifest(json: Uint8Array, name: string): Manifest {
  let manifest: { encoding?: unknown; shards?: unknown; tokenizer?: { vocabulary?: unknown } | null } | null;
  try {
    manifest = JSON.parse(new TextDecoder().decode(json)) as typeof manifest;
  } catch {
    throw failure('weights', `manifest.json of ${name} is not JSON: is that the address of a folder that \`native convert --to web\` wrote?`);
  }
  const files: unknown[] = [manifest?.tokenizer?.vocabulary, ...(Array.isArray(manifest?.shards) ? manifest.shards : [])];
  if (!files.every(isNamedFile)) throw failure('weights', `manifest.json of ${name} does not name its files, sizes and checksums`);
  return { encoding: manifest?.encoding, files };
}

function isNamedFile(value: unknown): value is NamedFile {
  if (typeof value !== 'object' || value === null) return false;
  const { name, bytes, sha256 } = value as Partial<NamedFile>;
  return typeof name === 'string' && Number.isSafeInteger(bytes) && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
}
