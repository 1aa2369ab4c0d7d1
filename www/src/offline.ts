/** Keeps the page's files for a visit without a network. */
import { byId } from './dom';

/** Longest wait for the files to be kept before the page counts as ready, in milliseconds. */
const PATIENCE = 5000;

/** Resolves when the page's files are kept, or cannot be. */
export async function keepForOffline(): Promise<void> {
  const status = byId('offline', HTMLElement);
  try {
    // While developing, files change all the time.
    if (!import.meta.env.PROD) return;
    const registration = await navigator.serviceWorker.register('./service-worker.js');
    registration.addEventListener('updatefound', () => tellOfUpdate(registration, status));
    const patience = new Promise((_, reject) => setTimeout(() => reject(new Error('late')), PATIENCE));
    await Promise.race([navigator.serviceWorker.ready, patience]);
    status.textContent = 'The page is kept in this browser and opens without a network. The browser may ask its server for a newer one.';
    tellOfUpdate(registration, status);
  } catch {
    status.textContent = 'This browser does not keep the page for use without a network.';
  }
}

/** Says that another build has come, once it is there; it waits for the tabs that show this one (service-worker.js). */
function tellOfUpdate({ installing, waiting }: ServiceWorkerRegistration, status: HTMLElement): void {
  const tell = (): void => {
    if (navigator.serviceWorker.controller === null) return;
    status.textContent = 'A newer version of this page has arrived; it is shown once all its tabs have been closed.';
  };
  if (waiting !== null) return tell();
  installing?.addEventListener('statechange', () => installing.state === 'installed' && tell());
}
