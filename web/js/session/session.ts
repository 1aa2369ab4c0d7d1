/** A loaded model, in a worker or in this thread: all that can be done with it. */
import type { Surprise } from './engine.js';
import { requireOptions } from '../errors.js';
import type { Piece } from '../tokenizer.js';
import { embed, type EmbedOptions, type Features } from './embed.js';
import { fillMaskOf, type FillMaskCall } from './fill-mask.js';
import type { Host, HostFacts } from './host.js';
import { controlOf, requireTexts, type CallOptions } from './options.js';

/** What was loaded, where it computes, and why there. */
export interface SessionInfo extends HostFacts {
  /** How weights are stored, in transformers.js's words. */
  dtype: 'fp32' | 'fp16' | 'int8';
  /** Longest text of one window, in tokens, `[CLS]` and `[SEP]` included. */
  maxLength: number;
}

/** A loaded model. It holds its memory until `dispose()`. */
export class Session {
  /** For texts with `[MASK]`, the likeliest fillings. */
  readonly fillMask: FillMaskCall;

  /** @internal */
  constructor(private readonly host: Host) {
    this.fillMask = fillMaskOf(host);
  }

  /** Vectors of texts, or of their tokens. */
  embed(texts: string | readonly string[], options: EmbedOptions = {}): Promise<Features> {
    return embed(this.host, texts, options);
  }

  /** For each text the words and how little the model expects them, each hidden in turn and found from all others. */
  async surprise(texts: readonly string[], options: CallOptions = {}): Promise<Surprise[][]> {
    requireOptions(options, ['signal', 'progress_callback']);
    return this.host.call('surprise', [requireTexts(texts)], controlOf(options));
  }

  /** The pieces of a text, without special tokens. */
  async tokenize(text: string): Promise<Piece[]> {
    const [pieces] = await this.host.call('tokenize', [requireTexts(text)], {});
    return pieces ?? [];
  }

  async info(): Promise<SessionInfo> {
    const facts = await this.host.call('facts', [], {});
    const dtype = ({ f32: 'fp32', f16: 'fp16', int8: 'int8' } as const)[facts.encoding];
    return { ...facts, dtype, maxLength: Number(facts.config['max_position_embeddings']) };
  }

  /** Ends the session and gives its memory back. May be called more than once. */
  async dispose(): Promise<void> {
    this.host.close();
  }
}
