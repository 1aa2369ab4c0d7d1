/** What the engine tests do in the page: the package, and comparisons with the answers that lie beside a model. */
import * as clinicalbert from '/package/index.js';

const { Engine: Session } = clinicalbert;

/** The code of what `work` throws. */
async function codeOf(work) {
  try {
    await work();
    return 'nothing was thrown';
  } catch (error) {
    if (!(error instanceof Error)) return 'no Error';
    return error.code ?? `no code: ${error.message}`;
  }
}

/** Largest difference and smallest cosine, kept over many vectors. */
class Distance {
  maxAbs = 0;
  cosine = 1;

  add(found, expected) {
    let [product, a, b] = [0, 0, 0];
    if (found.length !== expected.length) this.maxAbs = Infinity;
    for (const [at, value] of expected.entries()) {
      const apart = Math.abs(found[at] - value);
      // What is no number is far.
      if (!(apart <= this.maxAbs)) this.maxAbs = Number.isNaN(apart) ? Infinity : apart;
      product += found[at] * value;
      a += found[at] ** 2;
      b += value ** 2;
    }
    this.cosine = Math.min(this.cosine, product / Math.sqrt(a * b));
  }
}

const rowsOf = ({ data, dims: [count, width] }) => Array.from({ length: count }, (_, row) => data.subarray(row * width, (row + 1) * width));

/** Everything in a model's `expected.json`, computed here and compared. Batches of more cells than `most` are left out. */
async function compare(folder, options, most = Infinity) {
  const session = await Session.load(folder, { storage: null, ...options });
  const expected = await (await fetch(`${folder}/expected.json`)).json();
  const [vectors, texts, scores] = [new Distance(), new Distance(), new Distance()];
  let passes = 0;
  for (const { rows, vectors: byPooling } of expected.batches) {
    const cells = rows.length * Math.max(...rows.map(({ length }) => length));
    for (const pooling of cells > most ? [] : Object.keys(byPooling)) {
      rowsOf(await session.embedIds(rows, { pooling })).forEach((vector, row) => vectors.add(vector, byPooling[pooling][row]));
      passes += 1;
    }
  }
  rowsOf(await session.embed(expected.texts, { batchSize: 2 })).forEach((vector, row) => texts.add(vector, expected.vectors[row]));
  const firsts = [];
  for (const mask of expected.masks) {
    const filled = await session.fillMask(mask.text, { topK: session.info.config.vocab_size });
    filled.forEach((tokens, number) => {
      const found = new Float64Array(tokens.length);
      for (const { token, score } of tokens) found[token] = score;
      scores.add(found.map(Math.log), mask.scores[number].map(Math.log));
    });
    const [joint] = await session.fillMaskJointly(mask.text, { topK: 2 });
    firsts.push(joint.sequence === mask.jointly[0].sequence);
  }
  const { info } = session;
  const memory = session.memory();
  await session.dispose();
  return { device: info.device, relaxedSimd: info.relaxedSimd, selfTest: info.selfTest, passes, vectors, texts, scores, firsts, memory };
}

/** A model's files, one of them changed on its way: `change(bytes, name)`. */
function changed(folder, change) {
  return async (name) => {
    const response = await fetch(`${folder}/${name}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    return (await change(name, bytes)) ?? bytes;
  };
}

/** As `changed`, of the manifest as an object. */
function withManifest(folder, edit) {
  return changed(folder, (name, bytes) => {
    if (name !== 'manifest.json') return undefined;
    const manifest = JSON.parse(new TextDecoder().decode(bytes));
    edit(manifest);
    return new TextEncoder().encode(JSON.stringify(manifest));
  });
}

Object.assign(globalThis, { clinicalbert, Session, codeOf, compare, changed, withManifest });
document.documentElement.dataset.ready = 'true';
