/** Whether a GPU gives a model's own answers: the processor gives them too, and both are compared. */
import { failure } from '../errors.js';
import type { Model } from './engine.js';

export interface Verified {
  readonly passed: boolean;
  /** Largest difference of two numbers of a vector. */
  readonly maxAbs: number;
  /** Smallest cosine of two vectors. */
  readonly cosine: number;
}

/** Smallest cosine that passes, as for `native convert --verify`: int8 models compute with bytes on the processor, and not on a GPU. */
const LEAST_COSINE = 0.999;

/** Of several lengths, because a GPU's work is cut into pieces by them. */
const TEXTS = ['Stable.', 'No acute distress, alert and oriented.', 'Chest pain on exertion, relieved by rest. '.repeat(12)];

/**
 * Compares `onGpu` with the same model on the processor, which `loadOnProcessor` loads. The model that is to be used is returned: the
 * processor's, if the GPU's answers are wrong and any device will do.
 */
export async function verified(
  onGpu: Model,
  loadOnProcessor: () => Promise<Model>,
  isAnyDevice: boolean,
): Promise<{ model: Model; verdict: Verified }> {
  const loaded = [onGpu];
  try {
    const onProcessor = await loadOnProcessor();
    loaded.push(onProcessor);
    const verdict = compare(await vectors(onGpu), await vectors(onProcessor));
    if (!verdict.passed && !isAnyDevice) {
      const found = `smallest cosine with the processor's answers ${verdict.cosine.toFixed(4)}, expected ${LEAST_COSINE}`;
      throw failure('no-gpu', `the GPU computes this model wrongly (${found}): use device wasm`);
    }
    const [used, unused] = verdict.passed ? [onGpu, onProcessor] : [onProcessor, onGpu];
    loaded.splice(loaded.indexOf(unused), 1);
    await unused.dispose();
    return { model: used, verdict };
  } catch (error) {
    for (const model of loaded) await model.dispose();
    throw error;
  }
}

async function vectors(model: Model): Promise<Float32Array[]> {
  const width = Number(model.info.config['hidden_size']);
  const { data } = await model.embed(TEXTS, { pooling: 'mean' });
  return TEXTS.map((_, row) => data.subarray(row * width, (row + 1) * width));
}

function compare(theirs: Float32Array[], ours: Float32Array[]): Verified {
  let [maxAbs, cosine] = [0, 1];
  ours.forEach((vector, row) => {
    let [dot, length, other] = [0, 0, 0];
    vector.forEach((value, axis) => {
      const found = theirs[row]?.[axis] ?? NaN;
      // `Math.max` and `Math.min` keep NaN, which passes no comparison.
      maxAbs = Math.max(maxAbs, Math.abs(found - value));
      dot += found * value;
      length += value * value;
      other += found * found;
    });
    cosine = Math.min(cosine, dot / Math.sqrt(length * other));
  });
  return { passed: cosine >= LEAST_COSINE, maxAbs, cosine };
}
