/** transformers.js's front door: a task and a model become a function. */
import { failure } from './errors.js';
import type { EmbedOptions, Features } from './session/embed.js';
import type { FillMaskCall } from './session/fill-mask.js';
import { load, type LoadOptions } from './load.js';
import { Session, type SessionInfo } from './session/session.js';
import type { ModelSource } from './weights/source.js';

const TASKS = ['feature-extraction', 'fill-mask'] as const;

export type Task = (typeof TASKS)[number];

/** What every pipeline has beside being a function. */
export interface Pipeline {
  readonly task: Task;
  /** The loaded model, for other tasks too. */
  readonly session: Session;
  info(): Promise<SessionInfo>;
  /** Gives back what this pipeline has loaded; a session that it was given stays. */
  dispose(): Promise<void>;
}

export interface FeatureExtractionPipeline extends Pipeline {
  (texts: string | readonly string[], options?: EmbedOptions): Promise<Features>;
}

export type FillMaskPipeline = Pipeline & FillMaskCall;

/**
 * Loads a model for a task. `model` is the address of a folder that `native convert --to web` wrote, relative to the page (under Node also its
 * path), the folder itself as a handle or list of files, or a session.
 */
export async function pipeline(
  task: 'feature-extraction',
  model: ModelSource | Session,
  options?: LoadOptions,
): Promise<FeatureExtractionPipeline>;
export async function pipeline(task: 'fill-mask', model: ModelSource | Session, options?: LoadOptions): Promise<FillMaskPipeline>;
export async function pipeline(task: Task, model: ModelSource | Session, options: LoadOptions = {}): Promise<Pipeline> {
  if (!TASKS.includes(task)) throw failure('invalid-argument', `task must be one of ${TASKS.join(', ')}`);
  if (model === undefined) throw failure('invalid-argument', 'model must be named: there is no default, and no remote host is asked');
  const session = model instanceof Session ? model : await load(model, options);
  if (!(model instanceof Session)) options.progress_callback?.({ status: 'ready', task, model: typeof model === 'string' ? model : '' });
  const rest: Pipeline = {
    task,
    session,
    info: () => session.info(),
    dispose: async () => {
      if (session !== model) await session.dispose();
    },
  };
  if (task === 'fill-mask') return Object.assign(((...args: Parameters<FillMaskCall>) => session.fillMask(...args)) as FillMaskCall, rest);
  return Object.assign((texts: string | readonly string[], settings?: EmbedOptions) => session.embed(texts, settings), rest);
}
