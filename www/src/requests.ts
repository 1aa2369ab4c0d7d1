/**
 * Counts what is asked of the network once the page is ready, and forbids this document to ask for more.
 *
 * The count is the browser's own list of resources fetched (scripts, styles, images, `fetch`, `XMLHttpRequest`, beacons), not a counter around
 * our own calls: the document's, and since its model was ready that of the worker. The policy added when the page is ready is enforced by
 * the browser and cannot be taken back. Models are fetched by the worker, before there is anything that could be told.
 */
import { byId } from './dom';
import { loadedModel } from './model';

const output = byId('requests', HTMLElement);
let ofDocument = 0;

export function watchRequests(): void {
  // What was asked for to get the page ready may be reported late; it is told by when it began.
  const ready = performance.now();
  const observer = new PerformanceObserver((list) => {
    // Its script is fetched when a worker is started.
    const counted = list.getEntries().filter(({ name, startTime }) => startTime >= ready && !/\/worker-[\w-]+\.js$/.test(name));
    ofDocument += counted.length;
    void showRequests();
  });
  observer.observe({ type: 'resource' });
}

export async function showRequests(): Promise<void> {
  const info = await loadedModel()?.info().catch(() => undefined);
  output.textContent = String(ofDocument + (info?.requests ?? 0));
}

export function forbidRequests(): void {
  const policy = document.createElement('meta');
  policy.httpEquiv = 'Content-Security-Policy';
  policy.content = "connect-src 'none'";
  document.head.append(policy);
}
