/** Which device runs a model: the one that was asked for, or the one that was faster when both were tried on this machine. */
import type { Gpu, Probe } from './plain.js';
import { failure } from './errors.js';
import type { Instance } from './wasm.js';

export type DeviceName = 'wasm' | 'webgpu';

/** Keeps what was measured, for the next visit. `localStorage` fits. */
export interface DeviceStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
}

/** What a tiny model with a known answer gave on the GPU. */
export interface SelfTest {
  readonly passed: boolean;
  /** Largest difference from the known answer; infinite if the GPU failed. */
  readonly maxAbs: number;
  readonly adapter: string;
}

/** What the caller wants. */
export interface DeviceWish {
  readonly device: DeviceName | 'auto';
  readonly storage: DeviceStorage | undefined;
  /** A GPU that allows less (`largestBinding`, bytes) or computes wrongly (`broken`), for tests. */
  readonly testing: { readonly largestBinding?: number; readonly broken?: boolean } | undefined;
}

/** The choice, and what it rests on. */
export interface DeviceChoice {
  readonly device: DeviceName;
  /** The GPU, if it is to be used. */
  readonly gpu: Gpu | undefined;
  readonly selfTest: SelfTest | undefined;
  /** Milliseconds of one layer on 128 tokens, if both devices were tried now or on an earlier visit. */
  readonly measured: Measured | undefined;
}

export type Measured = Readonly<Record<DeviceName, number>>;

/** Longest time for one device's tries, in milliseconds, but for the first of each. */
const BUDGET = 300;

export async function choose(
  { bindings }: Instance,
  manifest: Uint8Array,
  { device: wanted, storage, testing }: DeviceWish,
): Promise<DeviceChoice> {
  const wasm: DeviceChoice = { device: 'wasm', gpu: undefined, selfTest: undefined, measured: undefined };
  if (wanted === 'wasm') return wasm;
  let gpu: Gpu;
  try {
    if (!hasWebGpu()) throw failure('no-gpu', 'no usable GPU: this browser has no WebGPU, or the page is not served securely');
    gpu = await bindings.Gpu.open(testing);
  } catch (error) {
    if (wanted === 'auto') return wasm;
    throw error;
  }
  const { config, encoding } = bindings.readManifest(manifest) as { config: Record<string, number>; encoding: string };
  const selfTest = await test(gpu, encoding);
  if (!selfTest.passed) {
    gpu.free();
    return { ...wasm, selfTest };
  }
  const webgpu: DeviceChoice = { device: 'webgpu', gpu, selfTest, measured: undefined };
  if (wanted === 'webgpu') return webgpu;

  const key = `clinicalbert device ${config['hidden_size']}x${config['intermediate_size']} ${encoding} ${selfTest.adapter}`;
  let measured = await recall(storage, key);
  if (measured === undefined) {
    const { Probe } = bindings;
    measured = {
      wasm: await time(Probe.onWasm(manifest)),
      webgpu: await time(Probe.onGpu(manifest, gpu)).catch(() => Infinity),
    };
    await remember(storage, key, measured);
  }
  if (measured.webgpu < measured.wasm) return { ...webgpu, measured };
  gpu.free();
  return { ...wasm, selfTest, measured };
}

/** The browser's own storage, where there is one. */
export function defaultStorage(): DeviceStorage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}

export function requireDevice(value: unknown): asserts value is DeviceName | 'auto' {
  if (value === 'wasm' || value === 'webgpu' || value === 'auto') return;
  throw failure('invalid-options', `options: device must be wasm, webgpu or auto, found ${JSON.stringify(value)}`);
}

const hasWebGpu = (): boolean => (globalThis.navigator as { gpu?: unknown } | undefined)?.gpu !== undefined;

/** A GPU that fails here is no better than one that computes wrongly. */
async function test(gpu: Gpu, encoding: string): Promise<SelfTest> {
  try {
    return (await gpu.selfTest(encoding)) as SelfTest;
  } catch {
    return { passed: false, maxAbs: Infinity, adapter: gpu.name };
  }
}

/** The shortest of several tries: the first compiles, and other programs disturb. */
async function time(probe: Probe): Promise<number> {
  try {
    await probe.run();
    let shortest = Infinity;
    const begin = performance.now();
    do {
      const from = performance.now();
      await probe.run();
      shortest = Math.min(shortest, performance.now() - from);
    } while (performance.now() - begin < BUDGET);
    return shortest;
  } finally {
    probe.free();
  }
}

async function recall(storage: DeviceStorage | undefined, key: string): Promise<Measured | undefined> {
  try {
    const { wasm, webgpu } = JSON.parse((await storage?.getItem(key)) ?? 'null') as Measured;
    // Written as JSON, an infinite time is null.
    return typeof wasm === 'number' ? { wasm, webgpu: webgpu ?? Infinity } : undefined;
  } catch {
    return undefined;
  }
}

/** A storage that is full or forbidden costs a measurement on the next visit, nothing else. */
async function remember(storage: DeviceStorage | undefined, key: string, measured: Measured): Promise<void> {
  try {
    await storage?.setItem(key, JSON.stringify(measured));
  } catch {}
}
