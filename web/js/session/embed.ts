/** Vectors of texts: options checked, results shaped as transformers.js shapes them. */
import type { EmbedSettings } from './engine.js';
import { failure, requireBoolean, requireCount, requireOneOf, requireOptions } from '../errors.js';
import { normalizeRows, quantizeBits, Tensor, type TensorData, type TensorType } from '../tensor.js';
import type { Control, Host } from './host.js';
import { controlOf, requireTexts, type CallOptions } from './options.js';

const POOLINGS = ['none', 'mean', 'cls', 'first_token', 'eos', 'last_token', 'max', 'last_four'] as const;

export type Pooling = (typeof POOLINGS)[number];

export interface EmbedOptions extends CallOptions {
  /**
   * How the vectors of a text's tokens become one: not at all (`none`, the default), their mean, the first (`cls`, `first_token`), the last
   * (`eos`, `last_token`), the largest value of each dimension (`max`), the mean over the last four layers too (`last_four`).
   */
  pooling?: Pooling;
  /** Scale vectors to length 1 (default `false`). */
  normalize?: boolean;
  /** One bit a number (default `false`). */
  quantize?: boolean;
  /** How these bits are written: `binary` (the default) or `ubinary`. */
  precision?: 'binary' | 'ubinary';
  /** The layer whose output is taken, 0 being the embeddings; negative counts from the last, which is the default. */
  layer?: number;
  /** With `pooling: 'none'`: tell where in its text each token stands. */
  offsets?: boolean;
  /**
   * How texts longer than the model allows are cut before pooling, in tokens: by default into windows as long as it allows, which overlap by
   * a quarter. The vector of such a text is the mean of its windows', by tokens.
   */
  windows?: { size?: number; overlap?: number };
}

export interface TextFacts {
  /** Tokens of the text, `[CLS]` and `[SEP]` not counted. */
  readonly tokens: number;
  /** Windows that it was cut into. */
  readonly windows: number;
  /** Whether its end is left out, because it is longer than the model allows and was not pooled. */
  readonly isCut: boolean;
  /** With `offsets`: token number n stands at `text.slice(...offsets[n])`; `null` for `[CLS]` and `[SEP]`. */
  readonly offsets?: readonly (readonly [start: number, end: number] | null)[];
}

/** `[texts, hidden_size]`, without pooling `[texts, tokens of the longest, hidden_size]` with zeros after shorter ones. */
export class Features extends Tensor {
  constructor(
    type: TensorType,
    data: TensorData,
    dims: readonly number[],
    /** One entry a text. */
    readonly texts: readonly TextFacts[],
  ) {
    super(type, data, dims);
  }
}

export async function embed(host: Host, given: string | readonly string[], options: EmbedOptions = {}): Promise<Features> {
  const texts = requireTexts(given);
  check(options);
  const { normalize = false, quantize = false, precision = 'binary' } = options;
  const control = controlOf(options);
  const { data, dims, facts } = await vectors(host, texts, options, control);
  if (normalize) normalizeRows(data, dims.at(-1) ?? 1);
  const tensor = quantize ? quantizeBits(data, dims, precision) : new Tensor('float32', data, dims);
  return new Features(tensor.type, tensor.data, tensor.dims, facts);
}

interface Vectors {
  data: Float32Array;
  dims: number[];
  facts: TextFacts[];
}

async function vectors(host: Host, texts: string[], options: EmbedOptions, control: Control): Promise<Vectors> {
  switch (options.pooling ?? 'none') {
    case 'none':
      return ofTokens(host, texts, options, control);
    case 'eos':
    case 'last_token':
      return lastTokens(await ofTokens(host, texts, options, control));
    case 'cls':
    case 'first_token':
      return pooled(host, texts, 'cls', options, control);
    case 'last_four':
      return pooled(host, texts, 'last-four', options, control);
    case 'mean':
      return pooled(host, texts, 'mean', options, control);
    case 'max':
      return pooled(host, texts, 'max', options, control);
  }
}

async function pooled(
  host: Host,
  texts: string[],
  pooling: EmbedSettings['pooling'],
  { layer, windows }: EmbedOptions,
  control: Control,
): Promise<Vectors> {
  const settings: EmbedSettings = { pooling };
  if (layer !== undefined) settings.layer = layer;
  if (windows?.size !== undefined) settings.window = windows.size;
  if (windows?.overlap !== undefined) settings.overlap = windows.overlap;
  const { data, ...counts } = await host.call('embed', [texts, settings], control);
  const facts = texts.map((_, row) => ({ tokens: counts.tokens[row] ?? 0, windows: counts.windows[row] ?? 0, isCut: false }));
  return { data, dims: [texts.length, data.length / Math.max(1, texts.length)], facts };
}

async function ofTokens(host: Host, texts: string[], { layer, offsets }: EmbedOptions, control: Control): Promise<Vectors> {
  const width = Number((await host.call('facts', [], control)).config['hidden_size']);
  const each = await host.call('tokenVectors', [texts, layer], control);
  const lengths = each.map(({ data }) => data.length / width);
  const longest = Math.max(0, ...lengths);
  const data = new Float32Array(texts.length * longest * width);
  each.forEach((one, row) => data.set(one.data, row * longest * width));
  const pieces = offsets ? await host.call('tokenize', [texts], control) : undefined;
  const facts = each.map(({ isCut }, row): TextFacts => {
    const tokens = (lengths[row] ?? 2) - 2;
    const places = pieces?.[row]?.slice(0, tokens).map(({ start, end }) => [start, end] as const);
    return { tokens, windows: 1, isCut, ...(places && { offsets: [null, ...places, null] }) };
  });
  return { data, dims: [texts.length, longest, width], facts };
}

/** The vector of `[SEP]` of every text. */
function lastTokens({ data, dims, facts }: Vectors): Vectors {
  const [, longest = 0, width = 0] = dims;
  const last = new Float32Array(facts.length * width);
  facts.forEach(({ tokens }, row) => {
    const from = (row * longest + tokens + 1) * width;
    last.set(data.subarray(from, from + width), row * width);
  });
  return { data: last, dims: [facts.length, width], facts };
}

function check(options: EmbedOptions): void {
  const known = ['pooling', 'normalize', 'quantize', 'precision', 'layer', 'offsets', 'windows', 'signal', 'progress_callback'];
  requireOptions(options, known);
  const { pooling = 'none', normalize, quantize, precision, layer, offsets, windows } = options;
  if (!POOLINGS.includes(pooling)) {
    // The first sentence is transformers.js's.
    throw failure('invalid-options', `Pooling method '${String(pooling).slice(0, 20)}' not supported. Known ones: ${POOLINGS.join(', ')}`);
  }
  if (normalize !== undefined) requireBoolean('normalize', normalize);
  if (quantize !== undefined) requireBoolean('quantize', quantize);
  if (offsets !== undefined) requireBoolean('offsets', offsets);
  if (precision !== undefined) requireOneOf('precision', precision, ['binary', 'ubinary']);
  if (layer !== undefined) requireCount('layer', layer, -Infinity);
  const isOfTokens = pooling === 'none';
  if (offsets && !isOfTokens) throw failure('invalid-options', "options: offsets are those of tokens and need pooling: 'none'");
  if (windows === undefined) return;
  if (isOfTokens || pooling === 'eos' || pooling === 'last_token') {
    throw failure('invalid-options', `options: windows cannot be put together with pooling: '${pooling}'`);
  }
  requireOptions(windows, ['size', 'overlap']);
  if (windows.size !== undefined) requireCount('windows.size', windows.size, 3);
  if (windows.overlap !== undefined) requireCount('windows.overlap', windows.overlap, 0);
}
