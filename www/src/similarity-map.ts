/** Arithmetic and picture of the similarity map. */

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

/** One pixel a pair; from the least alike to the most alike pair of different sentences, in the page's colours. */
export function drawMap(canvas: HTMLCanvasElement, values: Float32Array, count: number): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  canvas.width = canvas.height = count;
  const [low, high] = [colour(canvas, '--map-low'), colour(canvas, '--map-high')];
  let [least, most] = [Infinity, -Infinity];
  values.forEach((value, index) => {
    if (index % (count + 1) === 0) return;
    least = Math.min(least, value);
    most = Math.max(most, value);
  });
  const image = context.createImageData(count, count);
  values.forEach((value, index) => {
    const share = most > least ? Math.min(1, (value - least) / (most - least)) : 1;
    const mixed = low.map((from, channel) => from + share * ((high[channel] ?? 0) - from));
    image.data.set([...mixed, 255], index * 4);
  });
  context.putImageData(image, 0, 0);
}

/** Red, green and blue of a colour of the style sheet, as this scheme shows it. */
function colour(canvas: HTMLCanvasElement, name: string): number[] {
  const probe = document.createElement('span');
  probe.className = name.slice(2);
  canvas.after(probe);
  const [red = 0, green = 0, blue = 0] = getComputedStyle(probe).color.match(/\d+/g)?.map(Number) ?? [];
  probe.remove();
  return [red, green, blue];
}
