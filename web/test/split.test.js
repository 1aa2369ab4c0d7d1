import assert from 'node:assert/strict';
import { test } from 'node:test';
import { split } from 'clinicalbert';

const note = `Chief Complaint: 🫀 pain.

History of Present Illness:
Mr. [**Known lastname**] is a 61 year old
man – naïve to opioids. He denies dyspnea 👨‍👩‍👧. Seen by ___ today.
`;

test('sections, sentences and placeholders lie where their offsets say', async () => {
  const { sections, sentences, placeholders } = await split(note);
  assert.deepEqual(sections.map(({ title }) => title), ['Chief Complaint:', 'History of Present Illness:']);
  for (const { text, start, end } of [...sections, ...placeholders]) assert.equal(note.slice(start, end), text);
  for (const { text, start, end } of sentences) assert.equal(note.slice(start, end).replace(/\s+/g, ' '), text);
  assert.deepEqual(placeholders.map(({ text }) => text), ['[**Known lastname**]', '___']);
  assert.ok(sentences.some(({ text }) => text === 'He denies dyspnea 👨‍👩‍👧.'));
});

test('every sentence lies in the section that it names', async () => {
  const { sections, sentences } = await split(note);
  for (const { start, end, section } of sentences) {
    assert.ok(sections[section].start <= start && end <= sections[section].end);
  }
});

test('options choose the rules', async () => {
  const whole = await split(note, { splitter: 'none' });
  assert.equal(whole.sections.length, 1);
  assert.equal(whole.sections[0].title, null);
  for (const splitter of ['clinical', 'fixed', 'faithful']) {
    for (const sentencesBy of ['rules', 'original-rules']) assert.ok((await split(note, { splitter, sentencesBy })).sentences.length > 1);
  }
});

test('a blank note has no parts', async () => {
  for (const blank of ['', ' \n\t ']) {
    assert.deepEqual(await split(blank), { sections: [], sentences: [], placeholders: [] });
  }
});

test('text of any script, and halves of characters, keep their offsets', async () => {
  for (const text of ['咳嗽三天。发热。', 'المريض مستقر. لا حمى.', 'a\ud800b. Then: c.', '\ufeffPlan: none.\r\nEnd.']) {
    for (const { start, end } of (await split(text)).sentences) assert.ok(0 <= start && start < end && end <= text.length);
  }
});

test('wrong arguments are refused with a code, and no part of the note is repeated', async () => {
  await assert.rejects(split(42), { code: 'invalid-argument', message: 'note must be a string, found number' });
  await assert.rejects(split('a', { spliter: 'fixed' }), { code: 'invalid-options' });
  await assert.rejects(split('a secret', { splitter: 'best' }), (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.code, 'invalid-options');
    assert.match(error.message, /clinical/);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});
