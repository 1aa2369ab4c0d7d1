/** Arithmetic of the similarity map. */

export interface Pair {
  first: number;
  second: number;
  value: number;
}

/** Cosine of every pair of `count` vectors of length 1: `[count, count]`. */
export function similarities(vectors: Float32Array, count: number): Float32Array {
  const width = vectors.length / count;
  const values = new Float32Array(count * count);
  for (let row = 0; row < count; row += 1) {
    for (let column = row; column < count; column += 1) {
      let sum = 0;
      for (let axis = 0; axis < width; axis += 1) sum += (vectors[row * width + axis] ?? 0) * (vectors[column * width + axis] ?? 0);
      values[row * count + column] = values[column * count + row] = sum;
    }
  }
  return values;
}

/** The `most` pairs of different sentences that are most alike, best first. */
export function nearestPairs(values: Float32Array, count: number, most: number): Pair[] {
  const pairs: Pair[] = [];
  for (let first = 0; first < count; first += 1) {
    for (let second = first + 1; second < count; second += 1) {
      const value = values[first * count + second] ?? 0;
      const last = pairs.at(-1);
      if (pairs.length === most && last !== undefined && last.value >= value) continue;
      pairs.push({ first, second, value });
      pairs.sort((a, b) => b.value - a.value);
      pairs.length = Math.min(pairs.length, most);
    }
  }
  return pairs;
}
