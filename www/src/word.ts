/** The part of `text` that is selected, without blanks around it; where nothing is, the word at the cursor. */
export function wordAt(text: string, start: number, end: number): { start: number; end: number } | undefined {
  if (start === end) {
    start -= /[\p{L}\p{N}]*$/u.exec(text.slice(0, start))?.[0].length ?? 0;
    end += /^[\p{L}\p{N}]*/u.exec(text.slice(end))?.[0].length ?? 0;
  }
  const selected = text.slice(start, end);
  start += selected.length - selected.trimStart().length;
  end -= selected.length - selected.trimEnd().length;
  // What is masked already stays.
  return start < end && text.slice(start - 1, end + 1) !== '[MASK]' ? { start, end } : undefined;
}
