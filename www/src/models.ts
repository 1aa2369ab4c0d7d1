/** The models that this server has: `models/models.json`, a list that may be empty. */

export interface Variant {
  /** Precision of the weights. */
  dtype: string;
  /** Folder, relative to the page. */
  path: string;
  /** Bytes of weights. */
  bytes: number;
}

export interface ListedModel {
  name: string;
  variants: Variant[];
}

/** A list that is missing or cannot be read counts as empty: the page works without. */
export async function listModels(): Promise<ListedModel[]> {
  try {
    const response = await fetch('./models/models.json', { cache: 'no-cache' });
    const list = response.ok ? ((await response.json()) as unknown) : [];
    return Array.isArray(list) ? list.filter(isListed) : [];
  } catch {
    return [];
  }
}

function isListed(value: ListedModel): boolean {
  const isVariant = ({ dtype, path, bytes }: Variant): boolean =>
    typeof dtype === 'string' && typeof path === 'string' && typeof bytes === 'number';
  return typeof value?.name === 'string' && Array.isArray(value.variants) && value.variants.length > 0 && value.variants.every(isVariant);
}
