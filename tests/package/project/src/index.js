/** What a user writes. Each bundler builds this file as it stands, and the result is run in a browser. */
import { pipeline, split } from 'clinicalbert';

const texts = ['aa ab ac', 'zz'];
const extractor = await pipeline('feature-extraction', './model/', { device: 'wasm' });
const output = await extractor(texts, { pooling: 'mean' });
const { sentences } = await split('Chest pain. No fever.');
const unmasker = await pipeline('fill-mask', extractor.session);
const [best] = await unmasker('aa [MASK] ac', { top_k: 1 });
const vectors = output.tolist();
await extractor.dispose();

globalThis.result = { dims: output.dims, vectors, sentences: sentences.length, best };
