/** The network's answer as the page keeps it: one byte a pixel, thresholded and drawn here. */

import { pixelWord } from "./colours.js";
import { decodePhotograph, pixelsOf } from "./pictures.js";

const LINE = [255, 255, 255];
const RIM = [0, 0, 0];
const LINE_SHARE = 1 / 160; // of the longer side, which a card shows at half the size

/**
 * @typedef {{width: number, height: number, values: Uint8Array, classes: Uint8Array}} Probability
 *   of the likeliest object at each pixel, 255 being certain, and which it is
 */

/**
 * @param {Blob} png the service's 8-bit grey probability of one object
 * @param {number} side keep at most this many pixels on the longer side
 * @returns {Promise<{width: number, height: number, values: Uint8Array}>}
 */
export async function readProbability(png, side) {
  const { bitmap } = await decodePhotograph(png, side);
  const { width, height } = bitmap;
  const { data } = pixelsOf(bitmap, width, height);
  bitmap.close();
  const values = new Uint8Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i];
  return { width, height, values };
}

/**
 * The same as the service weighs it where other objects are looked for: only as likely as that the
 * object is there at all.
 */
export function weighed(map, presence) {
  const levels = Uint8Array.from({ length: 256 }, (_, level) => Math.round(level * presence));
  return { ...map, values: map.values.map((level) => levels[level]) };
}

/**
 * Which object is likeliest at each pixel; the first of equally likely ones. What is corrected is
 * certain.
 * @param {{values: Uint8Array}[]} layers of one size
 * @param {number[]} numbers of the layers' objects
 * @param {import("./pictures.js").Classes} corrected of that size
 * @returns {Probability}
 */
export function merged(layers, numbers, { width, height, classes: known }) {
  const values = new Uint8Array(width * height);
  const classes = new Uint8Array(known);
  layers.forEach((layer, place) => {
    const number = numbers[place];
    for (let i = 0; i < values.length; i++) {
      if (known[i] || layer.values[i] <= values[i]) continue;
      values[i] = layer.values[i];
      classes[i] = number;
    }
  });
  for (let i = 0; i < values.length; i++) if (known[i]) values[i] = 255;
  return { width, height, values, classes };
}

/**
 * How many pixels have each of the 256 values: enough to measure an object at any threshold. Pixels
 * of other objects count as 0.
 */
export function tallyOf({ values, classes }, number = 0) {
  const tally = new Uint32Array(256);
  for (let i = 0; i < values.length; i++) tally[number && classes[i] !== number ? 0 : values[i]] += 1;
  return tally;
}

/** Share of the photograph that is object (0..1), and the object's mean probability. */
export function measure(tally, threshold) {
  let [all, pixels, sum] = [0, 0, 0];
  tally.forEach((count, value) => {
    all += count;
    if (value <= threshold * 255) return;
    pixels += count;
    sum += count * value;
  });
  return { share: pixels / all, score: pixels ? sum / pixels / 255 : 0 };
}

/** The objects at the threshold, as `decodeMask` gives a mask's. */
export function classesIn({ width, height, values, classes }, threshold) {
  return { width, height, classes: classes.map((number, i) => (values[i] > threshold * 255 ? number : 0)) };
}

/**
 * Tint the objects and draw a line inside their edges, white with a dark rim: one of both is seen on
 * any photograph. Everything else stays transparent.
 * @param {HTMLCanvasElement} canvas gets the map's size
 * @param {Probability} map
 * @param {{threshold: number, opacity: number, outline: boolean, colours: number[][]}} view
 */
export function drawOverlay(canvas, map, { threshold, opacity, outline, colours }) {
  const { width, height, values, classes } = map;
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const limit = threshold * 255;
  // An alpha of 1 can hardly be seen, but tells object from background in the canvas itself.
  const alpha = Math.max(1, Math.round(255 * opacity));
  const tints = Uint32Array.from([0, ...colours.map((colour) => pixelWord(colour, alpha))]);
  for (let i = 0; i < words.length; i++) if (values[i] > limit) words[i] = tints[classes[i]];
  if (outline) drawLine(words, map, limit);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function drawLine(words, map, limit) {
  const { width, height, values } = map;
  const [line, rim] = [pixelWord(LINE, 255), pixelWord(RIM, 255)];
  const near = Math.max(1, Math.round(Math.max(width, height) * LINE_SHARE));
  const far = near + Math.max(1, near >> 1);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (values[i] <= limit) continue;
      if (isWithin(map, x, y, far, limit)) continue;
      words[i] = isWithin(map, x, y, near, limit) ? rim : line;
    }
  }
}

/** Whether the object goes on for `reach` pixels to all four sides; beyond the picture it does. */
function isWithin({ width, height, values, classes }, x, y, reach, limit) {
  const i = y * width + x;
  const own = classes[i];
  const goesOn = (at) => values[at] > limit && classes[at] === own;
  return (
    (x < reach || goesOn(i - reach)) &&
    (x >= width - reach || goesOn(i + reach)) &&
    (y < reach || goesOn(i - reach * width)) &&
    (y >= height - reach || goesOn(i + reach * width))
  );
}
