/** Compiled, never run: what the types promise to users. Lines under `@ts-expect-error` must not compile. */
import {
  load,
  pipeline,
  split,
  type CodedError,
  type FeatureExtractionPipeline,
  type FillMaskSingle,
  type ProgressInfo,
  type Session,
  type SessionInfo,
  type Tensor,
} from 'clinicalbert';

export async function featureExtraction(): Promise<void> {
  const extractor: FeatureExtractionPipeline = await pipeline('feature-extraction', './model', {
    device: 'webgpu',
    dtype: 'q8',
    progress_callback: (info: ProgressInfo) => {
      if (info.status === 'progress') console.log(info.file, info.progress, info.loaded, info.total);
      if (info.status === 'ready') console.log(info.task, info.model);
    },
    signal: AbortSignal.timeout(1000),
  });
  const output: Tensor = await extractor(['a', 'b'], { pooling: 'mean', normalize: true });
  const dims: readonly number[] = output.dims;
  const first: Float32Array | Int8Array | Uint8Array = output.data;
  const { texts } = await extractor('a', { offsets: true });
  const place: readonly [number, number] | null | undefined = texts[0]?.offsets?.[0];
  // @ts-expect-error: no such pooling
  await extractor('a', { pooling: 'average' });
  // @ts-expect-error: a misspelt option
  await extractor('a', { poling: 'mean' });
  // @ts-expect-error: numbers are no texts
  await extractor([1]);
  console.log(dims, first, place, output.tolist());
  await extractor.dispose();
}

export async function fillMask(session: Session): Promise<void> {
  const unmasker = await pipeline('fill-mask', session);
  const one: FillMaskSingle[] = await unmasker('a [MASK]', { top_k: 3 });
  const many: FillMaskSingle[][] = await unmasker(['a [MASK]']);
  const byMask: FillMaskSingle[][] = await unmasker('[MASK] [MASK]', { joint: false });
  const info: SessionInfo = await unmasker.info();
  // @ts-expect-error: `joint` changes the shape
  const wrong: FillMaskSingle[] = await unmasker('[MASK] [MASK]', { joint: false });
  console.log(one[0]?.token_str, many, byMask, info.device, wrong);
}

export async function classes(session: Session): Promise<void> {
  const tagger = await pipeline('token-classification', session);
  const [token] = await tagger('a');
  const [entity] = await tagger('a', { aggregation_strategy: 'simple' });
  const names: (string | undefined)[] = [token?.entity, entity?.entity_group];
  // @ts-expect-error: tokens that were put together have no class of their own
  console.log(entity?.entity);
  const classifier = await pipeline('text-classification', session);
  const [best] = await classifier('a', { text_pair: 'b' });
  const score: number | undefined = best?.score;
  console.log(names, score);
}

export async function rest(folder: FileSystemDirectoryHandle, files: FileList): Promise<void> {
  const session = await load(folder, { worker: false, verify: true });
  const cosine: number | undefined = (await session.info()).verified?.cosine;
  await load(files);
  await load(new URL('https://example.org/model/'));
  // @ts-expect-error: no such task
  await pipeline('summarization', './model');
  // @ts-expect-error: no such device
  await load('./model', { device: 'tpu' });
  // @ts-expect-error: the model must be named
  await pipeline('fill-mask');
  const [surprises] = await session.surprise(['a b']);
  const nats: number | undefined = surprises?.[0]?.nats;
  const { sections } = await split('a');
  const title: string | null | undefined = sections[0]?.title;
  const isCode = (error: CodedError): boolean => error.code === 'file-hash';
  console.log(nats, title, isCode, cosine);
}
