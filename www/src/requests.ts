/**
 * Counts what the page asks of the network once it is ready, and forbids it to ask for more.
 *
 * The count is the browser's own list of resources fetched (scripts, styles, images, `fetch`, `XMLHttpRequest`, beacons), not a
 * counter around our own calls. The policy added when the page is ready is enforced by the browser and cannot be taken back.
 */
export function watchRequests(output: HTMLElement): void {
  let requests = 0;
  // What was asked for to get the page ready may be reported late; it is told by when it began.
  const ready = performance.now();
  const observer = new PerformanceObserver((list) => {
    requests += list.getEntries().filter((entry) => entry.startTime >= ready).length;
    output.textContent = String(requests);
  });
  observer.observe({ type: 'resource' });
}

export function forbidRequests(): void {
  const policy = document.createElement('meta');
  policy.httpEquiv = 'Content-Security-Policy';
  policy.content = "connect-src 'none'";
  document.head.append(policy);
}
