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
    await navigator.serviceWorker.register('./service-worker.js');
    const patience = new Promise((_, reject) => setTimeout(() => reject(new Error('late')), PATIENCE));
    await Promise.race([navigator.serviceWorker.ready, patience]);
    status.textContent = 'The page is kept in this browser and opens without a network.';
  } catch {
    status.textContent = 'This browser does not keep the page for use without a network.';
  }
}
