/** Results as transformers.js shapes them: numbers in a typed array, and the lengths of its axes. */
import { failure } from './errors.js';

export type TensorType = 'float32' | 'int8' | 'uint8';
export type TensorData = Float32Array | Int8Array | Uint8Array;

export type NestedArray = number | NestedArray[];

export class Tensor {
  constructor(
    readonly type: TensorType,
    /** All numbers, the last axis running fastest. */
    readonly data: TensorData,
    /** Lengths of the axes. */
    readonly dims: readonly number[],
  ) {}

  /** How many numbers there are. */
  get size(): number {
    return this.data.length;
  }

  /** As arrays in arrays, one level an axis. */
  tolist(): NestedArray[] {
    const nest = (axis: number, from: number): NestedArray[] => {
      const length = this.dims[axis] ?? 0;
      const step = this.dims.slice(axis + 1).reduce((product, one) => product * one, 1);
      if (axis === this.dims.length - 1) return [...this.data.subarray(from, from + length)];
      return Array.from({ length }, (_, index) => nest(axis + 1, from + index * step));
    };
    return nest(0, 0);
  }
}

/** Scales every vector of `width` numbers to length 1, in place; one of length 0 stays. */
export function normalizeRows(data: Float32Array, width: number): void {
  for (let from = 0; from < data.length; from += width) {
    const row = data.subarray(from, from + width);
    const length = Math.hypot(...row);
    if (length > 0) row.forEach((value, index) => (row[index] = value / length));
  }
}

/** One bit a number, whether it is above 0, eight to a byte, the first in the highest place; `binary` counts bytes from −128. */
export function quantizeBits(data: Float32Array, dims: readonly number[], precision: 'binary' | 'ubinary'): Tensor {
  const width = dims.at(-1) ?? 0;
  if (width % 8 !== 0) throw failure('invalid-options', `options: quantize needs vectors whose length is a multiple of 8, found ${width}`);
  const bytes = new Uint8Array(data.length / 8);
  data.forEach((value, index) => {
    if (value > 0) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (0x80 >> (index & 7));
  });
  const shape = [...dims.slice(0, -1), width / 8];
  return precision === 'ubinary'
    ? new Tensor('uint8', bytes, shape)
    : new Tensor('int8', Int8Array.from(bytes, (byte) => byte - 128), shape);
}
