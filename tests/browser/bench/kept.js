/** The same as `bench.js` by what users call: `pipeline`, which computes in a worker and keeps the model for the next visit. */
import { expose } from '/protocol.js';

const DTYPES = { fp32: 'f32', fp16: 'f16', q8: 'int8' };

expose(async ({ models, model, device, dtype }) => {
  const { pipeline } = await import('./package/index.js');
  const extract = await pipeline('feature-extraction', new URL(`${models}${model}/web-${DTYPES[dtype]}/`, location.href).href, { device });
  return {
    // Asked for by the yardstick's own runner only.
    tokens: () => 0,
    embed: async (texts) => {
      const { data, dims: [count, width] } = await extract(texts, { pooling: 'mean' });
      return Array.from({ length: count }, (_, row) => data.slice(row * width, (row + 1) * width));
    },
  };
});
