/** Files that are dragged in: each part of the page that takes some shows it, and nowhere else do they do harm. */

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

/** Lets files be dropped on `place`. Text that is dragged is the browser's own business. */
export function acceptDrops(place: HTMLElement, take: (dropped: DataTransfer) => void): void {
  const show = (isOver: boolean): void => void place.classList.toggle('dropping', isOver);
  place.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    show(true);
  });
  place.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && place.contains(relatedTarget))) show(false);
  });
  place.addEventListener('drop', (event) => {
    show(false);
    if (event.dataTransfer === null || !hasFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
}

/** A file that misses its place would be opened instead of the page, and the note be gone. */
export function refuseOtherDrops(): void {
  const refuse = (event: DragEvent): void => {
    if (event.defaultPrevented || event.dataTransfer === null || !hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'none';
  };
  document.addEventListener('dragover', refuse);
  document.addEventListener('drop', refuse);
}
