/** The API reference says what the types say. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as clinicalbert from 'clinicalbert';
import { API, reference } from '../scripts/api.js';

test('API.md is current: `npm run api` writes it', async () => {
  assert.equal(await readFile(API, 'utf8'), await reference());
});

test('it has a section for everything that can be imported', async () => {
  const text = await readFile(API, 'utf8');
  for (const name of Object.keys(clinicalbert)) assert.match(text, new RegExp(`^### ${name}$`, 'm'));
});
