/** Classes of texts and of tokens, in the shapes of transformers.js. */
import type { Aggregation } from './engine.js';
import { failure, requireCount, requireOneOf, requireOptions } from '../errors.js';
import type { Host } from './host.js';
import { controlOf, requireTexts, type CallOptions } from './options.js';

export interface TokenClassificationOptions extends CallOptions {
  /** Classes that are left out of the result (default `['O']`). */
  ignore_labels?: readonly string[];
  /** Tokens one by one (`none`, the default), neighbours with the same tag together (`simple`), or words, by their first token (`first`). */
  aggregation_strategy?: Aggregation;
}

export interface LabelledToken {
  word: string;
  score: number;
  entity: string;
  /** Its place among the tokens, `[CLS]` being number 0. */
  index: number;
  /** It stands at `text.slice(start, end)`. */
  start: number;
  end: number;
}

/** Tokens that belong together. */
export interface Entity {
  /** The class, without `B-` and `I-`. */
  entity_group: string;
  score: number;
  word: string;
  start: number;
  end: number;
}

export interface ClassifyTokens {
  (texts: string, options?: TokenClassificationOptions & { aggregation_strategy?: 'none' }): Promise<LabelledToken[]>;
  (texts: readonly string[], options?: TokenClassificationOptions & { aggregation_strategy?: 'none' }): Promise<LabelledToken[][]>;
  (texts: string, options: TokenClassificationOptions & { aggregation_strategy: 'simple' | 'first' }): Promise<Entity[]>;
  (texts: readonly string[], options: TokenClassificationOptions & { aggregation_strategy: 'simple' | 'first' }): Promise<Entity[][]>;
}

export interface TextClassificationOptions extends CallOptions {
  /** How many classes, likeliest first (default 1). */
  top_k?: number;
  /** Second texts, for models that judge pairs. */
  text_pair?: string | readonly string[];
}

export interface TextClass {
  label: string;
  score: number;
}

export interface ClassifyTexts {
  /** As in transformers.js, the likeliest class of each of several texts stands in one list. */
  (texts: string | readonly string[], options?: TextClassificationOptions & { top_k?: 1 }): Promise<TextClass[]>;
  (texts: string, options: TextClassificationOptions): Promise<TextClass[]>;
  (texts: readonly string[], options: TextClassificationOptions): Promise<TextClass[] | TextClass[][]>;
}

export function classifyTokensOf(host: Host): ClassifyTokens {
  const call = async (given: string | readonly string[], options: TokenClassificationOptions = {}): Promise<unknown> => {
    const texts = requireTexts(given);
    requireOptions(options, ['ignore_labels', 'aggregation_strategy', 'signal', 'progress_callback']);
    const { ignore_labels = ['O'], aggregation_strategy = 'none' } = options;
    requireOneOf('aggregation_strategy', aggregation_strategy, ['none', 'simple', 'first']);
    if (!Array.isArray(ignore_labels)) throw failure('invalid-options', 'options: ignore_labels must be an array of labels');
    const found = await host.call('classifyTokens', [texts, aggregation_strategy], controlOf(options));
    const shaped = found.map((tokens) =>
      tokens
        .map(({ label, ...rest }, place) => (aggregation_strategy === 'none' ? { entity: label, index: place + 1, ...rest } : { entity_group: label, ...rest }))
        .filter((one) => !ignore_labels.includes('entity' in one ? one.entity : one.entity_group)),
    );
    return typeof given === 'string' ? shaped[0] : shaped;
  };
  return call as ClassifyTokens;
}

export function classifyTextsOf(host: Host): ClassifyTexts {
  const call = async (given: string | readonly string[], options: TextClassificationOptions = {}): Promise<unknown> => {
    const texts = requireTexts(given);
    requireOptions(options, ['top_k', 'text_pair', 'signal', 'progress_callback']);
    const { top_k = 1, text_pair } = options;
    requireCount('top_k', top_k, 1);
    const seconds = text_pair === undefined ? undefined : requireTexts(text_pair);
    if (seconds !== undefined && seconds.length !== texts.length) {
      throw failure('invalid-options', `options: text_pair must be as many as the texts: ${texts.length}, found ${seconds.length}`);
    }
    const control = controlOf(options);
    const { labels } = await host.call('facts', [], control);
    const found = await host.call('classifyTexts', [texts, seconds], control);
    const best = found.map(({ scores }) =>
      [...scores]
        .map((score, number): TextClass => ({ label: labels[number] ?? `LABEL_${number}`, score }))
        .sort((one, other) => other.score - one.score)
        .slice(0, top_k),
    );
    if (top_k === 1) return best.flat();
    return typeof given === 'string' ? best[0] : best;
  };
  return call as ClassifyTexts;
}
