/**
 * Keeps the page's own files, all of one build, and gives them to it with or without a network. Models are not its business: the package
 * keeps them. A new build waits until no tab shows the old one, whose worker and wasm may still have to be fetched.
 */
const CACHE = 'clinicalbert-page __BUILD__';
const FILES = __FILES__;
const LIST = 'models/models.json';

const scope = new URL(self.registration.scope);
const files = new Map(FILES.map((file) => [new URL(file, scope).href, file]));
files.set(scope.href, 'index.html');

self.addEventListener('install', (event) => {
  const fresh = (file) => new Request(file, { cache: 'no-cache' });
  const keep = async (cache) => {
    await cache.addAll(FILES.map(fresh));
    // A server may have no models.
    await cache.add(fresh(LIST)).catch(() => undefined);
  };
  event.waitUntil(caches.open(CACHE).then(keep));
});

self.addEventListener('activate', (event) => {
  const old = (name) => name.startsWith('clinicalbert-page ') && name !== CACHE;
  const remove = caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))));
  event.waitUntil(remove.then(() => self.clients.claim()));
});

/** From the server, so that new models are seen; without a network as it was last. */
async function listOfModels(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(LIST, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(LIST);
    if (kept === undefined) throw error;
    return kept;
  }
}

self.addEventListener('fetch', (event) => {
  const { method, url } = event.request;
  if (method === 'GET' && url === new URL(LIST, scope).href) return event.respondWith(listOfModels(event.request));
  const file = files.get(url.replace(/[?#].*$/, ''));
  if (method !== 'GET' || file === undefined) return;
  event.respondWith(caches.open(CACHE).then(async (cache) => (await cache.match(file)) ?? fetch(event.request)));
});
