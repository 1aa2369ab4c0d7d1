import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeRows, quantizeBits, Tensor } from '../dist/tensor.js';

test('a tensor becomes arrays in arrays, one level an axis', () => {
  const numbers = Float32Array.from({ length: 12 }, (_, index) => index);
  assert.deepEqual(new Tensor('float32', numbers, [2, 3, 2]).tolist(), [
    [[0, 1], [2, 3], [4, 5]],
    [[6, 7], [8, 9], [10, 11]],
  ]);
  assert.deepEqual(new Tensor('float32', numbers, [12]).tolist(), [...numbers]);
  assert.deepEqual(new Tensor('float32', new Float32Array(0), [0, 3]).tolist(), []);
  assert.equal(new Tensor('float32', numbers, [2, 6]).size, 12);
});

test('rows are scaled to length 1, and one of zeros stays', () => {
  const data = Float32Array.of(3, 4, 0, 0, -5, 0);
  normalizeRows(data, 2);
  assert.deepEqual([...data].map((value) => Math.round(value * 1e6) / 1e6), [0.6, 0.8, 0, 0, -1, 0]);
});

test('bits are packed as transformers.js packs them', () => {
  // 1 0 1 0 0 0 0 1 and all ones: 161 and 255, less 128 where bytes have signs.
  const data = Float32Array.of(0.5, -1, 2, 0, -0.1, 0, -3, 1, 1, 1, 1, 1, 1, 1, 1, 1);
  const unsigned = quantizeBits(data, [1, 16], 'ubinary');
  assert.deepEqual([unsigned.type, unsigned.dims, [...unsigned.data]], ['uint8', [1, 2], [161, 255]]);
  const signed = quantizeBits(data, [1, 16], 'binary');
  assert.deepEqual([signed.type, [...signed.data]], ['int8', [33, 127]]);
  assert.throws(() => quantizeBits(new Float32Array(6), [1, 6], 'binary'), { code: 'invalid-options' });
});
