/** Hands what was found to the user as a file. It goes to this machine's disk, and only when somebody presses the button. */

/** `content` is asked for when the button is pressed; the name says nothing of the note. */
export function offerFile(button: HTMLButtonElement, name: string, content: () => unknown): void {
  button.addEventListener('click', () => {
    const file = new Blob([JSON.stringify(content(), null, 2)], { type: 'application/json' });
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
