/** Picture of the similarity map: a pixel a pair, along two sides the colours of the sentences' sections, and a mark. */
import { byId } from './dom';
import { sectionClass } from './render';

const cell = byId('map-mark', HTMLElement);
const rows = byId('map-rows', HTMLCanvasElement);
const columns = byId('map-columns', HTMLCanvasElement);

type Colour = [red: number, green: number, blue: number];

/** From the least alike to the most alike pair of different sentences, in the page's colours. Returns these two values. */
export function drawMap(canvas: HTMLCanvasElement, values: Float32Array, count: number): [least: number, most: number] {
  const [low, middle, high] = ['map-low', 'map-middle', 'map-high'].map((name) => colourOf(canvas, name)) as [Colour, Colour, Colour];
  let [least, most] = [Infinity, -Infinity];
  values.forEach((value, index) => {
    if (index % (count + 1) === 0) return;
    least = Math.min(least, value);
    most = Math.max(most, value);
  });
  const colours = Array.from(values, (value) => {
    const share = most > least ? Math.min(1, (value - least) / (most - least)) : 1;
    return share < 0.5 ? mixed(low, middle, 2 * share) : mixed(middle, high, 2 * share - 1);
  });
  paint(canvas, colours, count, count);
  return [least, most];
}

/** `sections`: the number of every sentence's. */
export function drawSections(sections: readonly number[]): void {
  const known = new Map<string, Colour>();
  const colours = sections.map((section) => {
    const name = sectionClass(section);
    const colour = known.get(name) ?? colourOf(rows, `swatch ${name}`);
    known.set(name, colour);
    return colour;
  });
  paint(rows, colours, 1, sections.length);
  paint(columns, colours, sections.length, 1);
}

/** Marks a pair of `count` times `count`. */
export function mark(row: number, column: number, count: number): void {
  const share = (number: number): string => `${(100 * number) / count}%`;
  Object.assign(cell.style, { top: share(row), left: share(column), width: share(1), height: share(1) });
}

function paint(canvas: HTMLCanvasElement, colours: readonly Colour[], width: number, height: number): void {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  colours.forEach((colour, index) => image.data.set([...colour, 255], index * 4));
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}

function mixed(from: Colour, to: Colour, share: number): Colour {
  return from.map((value, channel) => value + share * ((to[channel] ?? 0) - value)) as Colour;
}

/** A colour of the style sheet as this scheme shows it. */
function colourOf(place: HTMLElement, className: string): Colour {
  const probe = document.createElement('span');
  probe.className = className;
  place.after(probe);
  const numbers = getComputedStyle(probe).color.match(/\d+/g)?.map(Number) ?? [];
  probe.remove();
  return [numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 0];
}
