/** Our side of the browser yardstick, in the words of its protocol: `cargo xtask bench-web` runs it beside transformers.js. */
import { expose } from '/protocol.js';

const DTYPES = { fp32: 'f32', fp16: 'f16', q8: 'int8' };

expose(async ({ models, model, device, dtype }) => {
  const { Engine: Session } = await import('./package/index.js');
  const session = await Session.load(`${models}${model}/web-${DTYPES[dtype]}/`, { device, storage: null });
  if (session.info.device !== device) throw new Error(`${device} is not in use: ${JSON.stringify(session.info.selfTest)}`);
  return {
    // The yardstick counts [CLS] and [SEP] too.
    tokens: (text) => session.tokenize(text).length + 2,
    embed: async (texts) => {
      const { data, dims: [count, width] } = await session.embed(texts);
      return Array.from({ length: count }, (_, row) => data.subarray(row * width, (row + 1) * width));
    },
  };
});
