/** The list of models that a built page offers. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { listModels } from '../../www/models.js';

test('models are listed by name, each with its precisions, the smallest first', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'clinicalbert-models-'));
  const put = async (path, encoding, bytes) => {
    await mkdir(join(folder, path), { recursive: true });
    await writeFile(join(folder, path, 'manifest.json'), JSON.stringify({ encoding, bytes }));
  };
  try {
    await put('small', 'int8', 8);
    await put('large/f16', 'f16', 200);
    await put('large/int8', 'int8', 100);
    await mkdir(join(folder, 'notes'));
    assert.deepEqual(listModels(folder), [
      { name: 'large', variants: [{ dtype: 'int8', path: 'models/large/int8', bytes: 100 }, { dtype: 'f16', path: 'models/large/f16', bytes: 200 }] },
      { name: 'small', variants: [{ dtype: 'int8', path: 'models/small', bytes: 8 }] },
    ]);
    assert.deepEqual(listModels(join(folder, 'nowhere')), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});
