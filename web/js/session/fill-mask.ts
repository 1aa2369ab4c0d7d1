/** What a model expects in place of `[MASK]`, in transformers.js's shape. */
import type { Filled } from './engine.js';
import { failure, requireBoolean, requireCount, requireOptions } from '../errors.js';
import type { Host } from './host.js';
import { controlOf, requireTexts, type CallOptions } from './options.js';

export interface FillMaskOptions extends CallOptions {
  /** How many fillings (default 5). */
  top_k?: number;
  /**
   * Several masks in a text are filled together (the default), each given the others. With `false` each is filled for itself, and there is a
   * list a mask.
   */
  joint?: boolean;
}

/** A filling. With several masks `token` and `token_str` are those of the first. */
export interface FillMaskSingle {
  /** Probability; of several masks the product, each given those before it. */
  score: number;
  token: number;
  token_str: string;
  /** The text, filled. */
  sequence: string;
  /** Ids, one a mask. */
  tokens: number[];
  token_strs: string[];
}

export type FillMaskOutput = FillMaskSingle[];

export interface FillMaskCall {
  (texts: string, options?: FillMaskOptions & { joint?: true }): Promise<FillMaskOutput>;
  (texts: readonly string[], options?: FillMaskOptions & { joint?: true }): Promise<FillMaskOutput[]>;
  /** A list a mask. */
  (texts: string, options: FillMaskOptions & { joint: false }): Promise<FillMaskOutput[]>;
  (texts: readonly string[], options: FillMaskOptions & { joint: false }): Promise<FillMaskOutput[][]>;
}

export function fillMaskOf(host: Host): FillMaskCall {
  const call = async (given: string | readonly string[], options: FillMaskOptions = {}): Promise<unknown> => {
    const texts = requireTexts(given);
    requireOptions(options, ['top_k', 'joint', 'signal', 'progress_callback']);
    const { top_k = 5, joint = true } = options;
    requireCount('top_k', top_k, 1);
    requireBoolean('joint', joint);
    // transformers.js's words.
    if (!texts.every((text) => text.includes('[MASK]'))) throw failure('text', 'Mask token ([MASK]) not found in text.');
    const control = controlOf(options);
    const results = joint
      ? (await host.call('fillJointly', [texts, top_k], control)).map((fillings) =>
          fillings.map(({ score, tokens, token_strs, sequence }) =>
            single({ score, token: tokens[0] ?? 0, token_str: token_strs[0] ?? '', sequence }, [...tokens], [...token_strs]),
          ),
        )
      : (await host.call('fillMask', [texts, top_k], control)).map((masks) =>
          masks.map((fillings) => fillings.map((filled) => single(filled, [filled.token], [filled.token_str]))),
        );
    return typeof given === 'string' ? results[0] : results;
  };
  return call as FillMaskCall;
}

function single(filled: Filled, tokens: number[], token_strs: string[]): FillMaskSingle {
  return { ...filled, tokens, token_strs };
}
