/** The text of a file that somebody opens or drops as a note. */
import { bytes } from './dom';

/** Larger ones are no notes, in bytes. */
const LARGEST = 10_000_000;

export async function textOf(file: File): Promise<string> {
  if (file.size > LARGEST) throw new Error(`The file has ${bytes(file.size)}; the largest that is read has ${bytes(LARGEST)}.`);
  const content = await file.arrayBuffer().catch(() => {
    throw new Error('This cannot be read as a note: one text file is wanted, no folder.');
  });
  const text = decoded(new Uint8Array(content));
  if (text.includes('\0')) throw new Error('This is no text file: save it as plain text first.');
  return text;
}

/** UTF-8; UTF-16 if it begins with that mark; else what Windows takes for text in Western Europe and America. */
function decoded(content: Uint8Array): string {
  const [first, second] = content;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(content);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(content);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    return new TextDecoder('windows-1252').decode(content);
  }
}
